import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";

import { readZip } from "../../../assets/app/zip.js";

const LIMITS = { bytes: 64e9, ratio: 200 };

/** A zip archive; `change` edits an entry's record before it is written. */
function zipped(files, change = () => {}) {
  const [locals, directory] = [[], []];
  let start = 0;
  for (const [name, content] of Object.entries(files)) {
    const data = deflateRawSync(content);
    const sizes = { crc: 7, packed: data.length, size: content.length };
    const entry = { name, flags: 0, method: 8, mode: 0, ...sizes };
    change(entry);
    const path = Buffer.from(name);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(path.length, 26);
    const head = Buffer.alloc(46);
    head.writeUInt32LE(0x02014b50, 0);
    for (const [offset, value] of [[8, entry.flags], [10, entry.method], [28, path.length]]) {
      head.writeUInt16LE(value, offset);
    }
    for (const [offset, value] of [[16, entry.crc], [20, entry.packed], [24, entry.size], [42, start]]) {
      head.writeUInt32LE(value, offset);
    }
    head.writeUInt32LE((entry.mode << 16) >>> 0, 38);
    locals.push(local, path, data);
    directory.push(head, path);
    start += 30 + path.length + data.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(start, 16);
  return new File([...locals, list, end], "films.zip");
}

const text = async (entry) => new Blob([await entry.open()]).text();

test("an archive gives its files one at a time, folders left out", async () => {
  const content = Buffer.from("film ".repeat(1000));
  const files = { "a/": Buffer.alloc(0), "a/1.png": content, "ü.png": Buffer.from("two") };
  const entries = await readZip(zipped(files), LIMITS);
  assert.deepEqual(entries.map(({ path, size, crc }) => [path, size, crc]), [["a/1.png", 5000, 7], ["ü.png", 3, 7]]);
  assert.equal(await text(entries[0]), content.toString());
  assert.equal(await text(entries[1]), "two");
});

test("what is no archive, or is cut short, is one sentence", async () => {
  await assert.rejects(readZip(new File(["no zip"], "x.zip"), LIMITS), /x\.zip is damaged or no zip archive/);
  const whole = zipped({ "1.png": Buffer.from("film") });
  const cut = new File([whole.slice(0, 20), whole.slice(30)], "x.zip");
  await assert.rejects(readZip(cut, LIMITS), /damaged/);
});

test("a bomb is refused by what its directory says", async () => {
  const bomb = zipped({ "1.png": Buffer.from("x"), "2.png": Buffer.from("x") }, (entry) => (entry.size = 4e9));
  await assert.rejects(readZip(bomb, LIMITS), /would unpack to 8 GB/);
});

test("one that lies about its size is stopped at that size", async () => {
  const much = Buffer.alloc(1e6);
  const changes = [(entry) => (entry.size = 10), (entry) => (entry.size = 2e6), (entry) => (entry.method = 0)];
  for (const change of changes) {
    const [entry] = await readZip(zipped({ "1.png": much }, change), LIMITS);
    await assert.rejects(entry.open(), /damaged within its archive/);
  }
});

test("links and encrypted entries say why they are not read", async () => {
  const [link] = await readZip(zipped({ "1.png": Buffer.from("x") }, (entry) => (entry.mode = 0o120777)), LIMITS);
  const [secret] = await readZip(zipped({ "1.png": Buffer.from("x") }, (entry) => (entry.flags = 1)), LIMITS);
  const [packed] = await readZip(zipped({ "1.png": Buffer.from("x") }, (entry) => (entry.method = 9)), LIMITS);
  assert.deepEqual([link.why, secret.why.split(";")[0], packed.why.split(";")[0]], [
    "a link", "encrypted", "packed in a way that is not read here",
  ]);
});
