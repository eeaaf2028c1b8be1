// Unpacks what pipeline/map/page/packed.py packed. Nothing here touches the page.
const NOTHING = -2147483648;

async function inflate(text) {
  const raw = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Int32Array(await new Response(stream).arrayBuffer());
}

async function readTable(packed) {
  const columns = new Map();
  for (const column of packed.columns) {
    columns.set(column.name, { ...column, numbers: await inflate(column.data) });
  }
  return { ...packed, columns };
}

function valueOf(table, name, row) {
  const column = table.columns.get(name);
  if (!column) return null;
  const number = column.numbers[row];
  if (number === NOTHING) return null;
  if (column.kind === 'text') return column.texts[number];
  if (column.kind === 'truth') return number === 1;
  return number / 10 ** column.digits;
}

// Rings of each shape as arrays [x, y, x, y, ...] in degrees, and the box around them.
async function readShapes(packed) {
  const stream = await inflate(packed.data), scale = 10 ** packed.digits, shapes = [];
  for (let at = 0; at < stream.length;) {
    const rings = [], box = [Infinity, Infinity, -Infinity, -Infinity];
    for (let left = stream[at++]; left > 0; left--) {
      const count = stream[at++], ring = new Float64Array(2 * count);
      for (let n = 0; n < 2 * count; n++) ring[n] = stream[at++] / scale;
      for (let n = 0; n < ring.length; n += 2) {
        box[0] = Math.min(box[0], ring[n]); box[2] = Math.max(box[2], ring[n]);
        box[1] = Math.min(box[1], ring[n + 1]); box[3] = Math.max(box[3], ring[n + 1]);
      }
      rings.push(ring);
    }
    shapes.push({ rings, box });
  }
  return shapes;
}

function holds(shape, x, y) {
  let inside = false;
  for (const ring of shape.rings) {
    for (let n = 0, last = ring.length - 2; n < ring.length; last = n, n += 2) {
      if ((ring[n + 1] > y) !== (ring[last + 1] > y) &&
          x < (ring[last] - ring[n]) * (y - ring[n + 1]) / (ring[last + 1] - ring[n + 1]) + ring[n]) {
        inside = !inside;
      }
    }
  }
  return inside;
}

// The squares: rows of the table by their place in the box, and back.
async function readSquares(packed) {
  const place = await inflate(packed.steps);
  for (let n = 1; n < place.length; n++) place[n] += place[n - 1];
  const size = 1 / packed.per_degree;
  const west = packed.left * size - 180, north = 90 - packed.top * size;
  const rowAt = (lon, lat) => {
    const col = Math.floor((lon - west) / size), row = Math.floor((north - lat) / size);
    if (col < 0 || row < 0 || col >= packed.cols || row >= packed.rows) return -1;
    const wanted = row * packed.cols + col;
    let low = 0, high = place.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (place[middle] === wanted) return middle;
      if (place[middle] < wanted) low = middle + 1; else high = middle - 1;
    }
    return -1;
  };
  const corner = (n) => [west + (place[n] % packed.cols) * size,
    north - Math.floor(place[n] / packed.cols) * size];
  return { ...packed, place, size, west, north, rowAt, corner,
    east: west + packed.cols * size, south: north - packed.rows * size };
}
