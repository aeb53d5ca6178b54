// A zip archive, read in the browser: its directory first, then one entry at a time, so that no archive is ever held
// in memory or sent anywhere as a whole. PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.

const [END, ENTRY, LOCAL] = [0x06054b50, 0x02014b50, 0x04034b50];
const [END_BYTES, ENTRY_BYTES, LOCAL_BYTES, MOST_COMMENT] = [22, 46, 30, 65535];
const [STORED, DEFLATED, ENCRYPTED, UTF8] = [0, 8, 1, 0x800];
const LINK = 0o120000; // of the file's type in Unix's mode
const SMALL = 1e9;

/**
 * The entries of an archive that are files, in its own order. Throws Error with a sentence.
 * @param {Blob} file
 * @param limits most `films`, `bytes` unpacked, and `ratio` of unpacked to packed
 * @returns {Promise<{path, size, why, open}[]>} `why` an entry cannot be opened, else empty; `open()` gives a Blob
 */
export async function readZip(file, limits) {
  const tail = await view(file, Math.max(0, file.size - END_BYTES - MOST_COMMENT), file.size);
  let at = tail.byteLength - END_BYTES;
  while (at >= 0 && tail.getUint32(at, true) !== END) at--;
  if (at < 0) throw new Error(`${file.name} is damaged or no zip archive.`);
  const [number, size] = [tail.getUint16(at + 10, true), tail.getUint32(at + 12, true)];
  const start = tail.getUint32(at + 16, true);
  if (start === 0xffffffff || number === 0xffff) {
    throw new Error(`${file.name} is larger than 4 GB or holds over 65,000 files; unpack it, and choose the folder.`);
  }
  const all = entriesOf(file, await view(file, start, start + size), number);
  const entries = all.filter(({ path }) => !path.endsWith("/"));
  refuseBomb(file, entries, limits);
  return entries;
}

function refuseBomb({ name, size }, entries, limits) {
  const unpacked = entries.reduce((sum, entry) => sum + entry.size, 0);
  if (unpacked > limits.bytes || (unpacked > SMALL && unpacked > limits.ratio * size)) {
    const [packed, grown] = [(size / 1e6).toFixed(1), Math.round(unpacked / 1e9)];
    throw new Error(
      `${name} has ${packed} MB and would unpack to ${grown} GB, as no archive of films does; it is not read.`,
    );
  }
}

function entriesOf(file, directory, number) {
  const entries = [];
  for (let at = 0; entries.length < number; ) {
    if (at + ENTRY_BYTES > directory.byteLength || directory.getUint32(at, true) !== ENTRY) {
      throw new Error(`${file.name} is damaged: its list of files ends too early.`);
    }
    const short = (offset) => directory.getUint16(at + offset, true);
    const long = (offset) => directory.getUint32(at + offset, true);
    const [flags, method, length] = [short(8), short(10), short(28)];
    const entry = { flags, method, crc: long(16), packed: long(20), size: long(24), start: long(42) };
    const rest = directory.byteLength - at - ENTRY_BYTES;
    const bytes = new Uint8Array(directory.buffer, at + ENTRY_BYTES, Math.min(length, rest));
    const why = whyNot(entry, long(38) >>> 16);
    entries.push({ path: nameOf(bytes, flags), size: entry.size, why, open: () => unpack(file, entry) });
    at += ENTRY_BYTES + length + short(30) + short(32);
  }
  return entries;
}

function whyNot({ flags, method }, mode) {
  if ((mode & 0o170000) === LINK) return "a link";
  if (flags & ENCRYPTED) return "encrypted; unpack the archive first";
  return [STORED, DEFLATED].includes(method) ? "" : "packed in a way that is not read here; unpack the archive first";
}

function nameOf(bytes, flags) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder(flags & UTF8 ? "utf-8" : "windows-1252").decode(bytes);
  }
}

async function unpack(file, { method, crc, packed, size, start }) {
  const damaged = () => new Error("is damaged within its archive and cannot be read");
  const head = await view(file, start, start + LOCAL_BYTES);
  if (head.byteLength < LOCAL_BYTES || head.getUint32(0, true) !== LOCAL) throw damaged();
  const from = start + LOCAL_BYTES + head.getUint16(26, true) + head.getUint16(28, true);
  const content = file.slice(from, from + packed);
  const stream = content.stream();
  const inflated = method === DEFLATED ? stream.pipeThrough(new DecompressionStream("deflate-raw")) : stream;
  const reader = inflated.getReader();
  const parts = [];
  let [length, sum] = [0, 0];
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw damaged();
    });
    if (done) break;
    length += value.length;
    if (length > size) {
      reader.cancel().catch(() => {});
      throw damaged(); // an archive that says too little of what it holds
    }
    sum = checksum(value, sum);
    parts.push(value);
  }
  if (length !== size || sum !== crc) throw damaged();
  return new Blob(parts);
}

async function view(file, from, to) {
  return new DataView(await file.slice(from, to).arrayBuffer());
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 of bytes, going on from that of those before. */
export function checksum(bytes, before = 0) {
  let value = ~before;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}
