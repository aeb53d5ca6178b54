// A zip archive, read in the browser: its directory first, then one entry at a time, so that no archive is ever held
// in memory or sent anywhere as a whole. PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.

const [END, ENTRY, LOCAL] = [0x06054b50, 0x02014b50, 0x04034b50];
const [END_BYTES, ENTRY_BYTES, LOCAL_BYTES, MOST_COMMENT] = [22, 46, 30, 65535];
const MOST_NAMES = 4096; // an entry's path and extra field
const [STORED, DEFLATED, ENCRYPTED, UTF8] = [0, 8, 1, 0x800];
const LINK = 0o120000; // of the file's type in Unix's mode
const SMALL = 1e9;

/**
 * The entries of an archive that are files, in its own order. Throws Error with a sentence.
 * @param {Blob} file
 * @param limits most `films`, `bytes` unpacked, and `ratio` of unpacked to packed
 * @returns {Promise<{path, size, crc, why, open}[]>} `why` an entry cannot be opened, else empty; `open()` gives a
 *   promise of its bytes
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
    const entry = { flags, method, packed: long(20), size: long(24), start: long(42) };
    const rest = directory.byteLength - at - ENTRY_BYTES;
    const bytes = new Uint8Array(directory.buffer, at + ENTRY_BYTES, Math.min(length, rest));
    const why = whyNot(entry, long(38) >>> 16);
    const [path, open] = [nameOf(bytes, flags), () => unpack(file, entry)];
    entries.push({ path, size: entry.size, crc: long(16), why, open });
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

// Header and content come in one read: each costs a message to the browser's process. The server compares checksums.
async function unpack(file, { method, packed, size, start }) {
  const damaged = () => new Error("is damaged within its archive and cannot be read");
  const head = await view(file, start, start + LOCAL_BYTES + MOST_NAMES + packed);
  if (head.byteLength < LOCAL_BYTES || head.getUint32(0, true) !== LOCAL) throw damaged();
  const from = LOCAL_BYTES + head.getUint16(26, true) + head.getUint16(28, true);
  const content = new Uint8Array(head.buffer).subarray(from, from + packed);
  const whole = method === DEFLATED ? await inflate(content, size).catch(() => null) : content;
  if (whole?.length !== size) throw damaged();
  return whole;
}

// Null where it is not of this size: an archive may say too little of what it holds.
async function inflate(content, size) {
  const stream = new DecompressionStream("deflate-raw");
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  writer.write(content).then(() => writer.close()).catch(() => {}); // what fails here fails in the reader too
  const whole = new Uint8Array(size);
  for (let length = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return length === size ? whole : null;
    if (length + value.length > size) {
      reader.cancel().catch(() => {});
      return null;
    }
    whole.set(value, length);
    length += value.length;
  }
}

async function view(file, from, to) {
  return new DataView(await file.slice(from, to).arrayBuffer());
}
