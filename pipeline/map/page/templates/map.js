// Draws the squares, outlines and points on a canvas: only what the window shows.
const TILE = 256;

function makeMap(canvas, squares, layers, redrawn) {
  const pen = canvas.getContext('2d');
  const stretch = 1 / Math.max(0.05, Math.cos((squares.north + squares.south) / 2 * Math.PI / 180));
  const view = { x: 0, y: 0, scale: 1, wide: 1, high: 1 };
  let tiles = null, classes = null, colours = [], chosen = null, waiting = false, crosshair = false;

  const toX = (lon) => (lon - view.x) * view.scale + view.wide / 2;
  const toY = (lat) => (view.y - lat) * view.scale * stretch + view.high / 2;
  const lonOf = (x) => (x - view.wide / 2) / view.scale + view.x;
  const latOf = (y) => view.y - (y - view.high / 2) / (view.scale * stretch);

  function ask() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }

  function paint(kinds, palette) {
    classes = kinds;
    colours = palette;
    tiles = kinds ? new Map() : null;
    if (!kinds) return ask();
    const across = Math.ceil(squares.cols / TILE);
    for (let n = 0; n < kinds.length; n++) {
      const row = Math.floor(squares.place[n] / squares.cols), col = squares.place[n] % squares.cols;
      const key = Math.floor(row / TILE) * across + Math.floor(col / TILE);
      let tile = tiles.get(key);
      if (!tile) {
        tile = { image: new ImageData(TILE, TILE), canvas: null,
          row: Math.floor(row / TILE) * TILE, col: Math.floor(col / TILE) * TILE };
        tiles.set(key, tile);
      }
      const at = 4 * ((row - tile.row) * TILE + col - tile.col), colour = palette[kinds[n]];
      tile.image.data[at] = parseInt(colour.slice(1, 3), 16);
      tile.image.data[at + 1] = parseInt(colour.slice(3, 5), 16);
      tile.image.data[at + 2] = parseInt(colour.slice(5, 7), 16);
      tile.image.data[at + 3] = 255;
    }
    ask();
  }

  function drawSquares() {
    const side = squares.size * view.scale, high = side * stretch;
    pen.imageSmoothingEnabled = side * devicePixelRatio < 1;
    for (const tile of tiles.values()) {
      const x = toX(squares.west + tile.col * squares.size);
      const y = toY(squares.north - tile.row * squares.size);
      if (x > view.wide || y > view.high || x + TILE * side < 0 || y + TILE * high < 0) continue;
      if (!tile.canvas) {
        tile.canvas = document.createElement('canvas');
        tile.canvas.width = tile.canvas.height = TILE;
        tile.canvas.getContext('2d').putImageData(tile.image, 0, 0);
      }
      pen.drawImage(tile.canvas, x, y, TILE * side, TILE * high);
    }
    if (side < 7) return;
    // A hatch as well as a grey where the map cannot tell: it reads in a photocopy too.
    pen.strokeStyle = '#8a8a8a';
    pen.lineWidth = 1;
    pen.beginPath();
    for (let n = 0; n < classes.length; n++) {
      if (classes[n] !== 0) continue;
      const [lon, lat] = squares.corner(n), x = toX(lon), y = toY(lat);
      if (x > view.wide || y > view.high || x + side < 0 || y + high < 0) continue;
      pen.moveTo(x, y + high / 2); pen.lineTo(x + side / 2, y);
      pen.moveTo(x, y + high); pen.lineTo(x + side, y);
      pen.moveTo(x + side / 2, y + high); pen.lineTo(x + side, y + high / 2);
    }
    pen.stroke();
  }

  function trace(shape) {
    pen.beginPath();
    for (const ring of shape.rings) {
      for (let n = 0; n < ring.length; n += 2) {
        if (n) pen.lineTo(toX(ring[n]), toY(ring[n + 1])); else pen.moveTo(toX(ring[n]), toY(ring[n + 1]));
      }
      // A line stays open.
      const last = ring.length - 2;
      if (ring[0] === ring[last] && ring[1] === ring[last + 1]) pen.closePath();
    }
  }

  const visible = (box) => toX(box[0]) <= view.wide && toX(box[2]) >= 0 &&
    toY(box[3]) <= view.high && toY(box[1]) >= 0;

  function mark(shape, form, fill, edge, size) {
    const x = toX(shape.rings[0][0]), y = toY(shape.rings[0][1]);
    pen.beginPath();
    if (form === 'diamond') {
      pen.moveTo(x, y - size); pen.lineTo(x + size, y); pen.lineTo(x, y + size); pen.lineTo(x - size, y);
      pen.closePath();
    } else {
      pen.arc(x, y, size * 0.85, 0, 2 * Math.PI);
    }
    pen.fillStyle = fill; pen.fill();
    pen.strokeStyle = edge; pen.lineWidth = 1.3; pen.stroke();
  }

  function outline(shape, colour, width, dash) {
    trace(shape);
    pen.setLineDash([]);
    pen.strokeStyle = '#ffffff'; pen.lineWidth = width + 2; pen.stroke();
    pen.setLineDash(dash || []);
    pen.strokeStyle = colour; pen.lineWidth = width; pen.stroke();
    pen.setLineDash([]);
  }

  function drawLayer(layer) {
    for (let n = 0; n < layer.shapes.length; n++) {
      const shape = layer.shapes[n];
      if (!shape.rings.length || !visible(shape.box)) continue;
      if (layer.points) mark(shape, ...layer.look(n));
      else outline(shape, layer.colour, layer.name === 'candidates' ? 1.6 : 1.3, layer.dash);
    }
    if (!layer.label) return;
    pen.font = 'bold 13px system-ui, sans-serif';
    pen.lineJoin = 'round';
    const taken = [];
    for (let n = 0; n < layer.shapes.length; n++) {
      const { box, rings } = layer.shapes[n];
      if (!rings.length || !visible(box)) continue;
      const text = layer.label(n), x = toX(box[2]) + 3, y = toY(box[3]) + 4;
      const wide = pen.measureText(text).width;
      if (taken.some((t) => x < t[2] && x + wide > t[0] && y - 12 < t[3] && y > t[1])) continue;
      taken.push([x, y - 12, x + wide, y]);
      pen.strokeStyle = '#ffffff'; pen.lineWidth = 3; pen.strokeText(text, x, y);
      pen.fillStyle = '#1b1f24'; pen.fillText(text, x, y);
    }
  }

  function drawChosen() {
    if (!chosen) return;
    if (chosen.layer && chosen.layer.points) {
      const [lon, lat] = chosen.layer.shapes[chosen.row].rings[0];
      pen.beginPath(); pen.arc(toX(lon), toY(lat), 11, 0, 2 * Math.PI);
      pen.strokeStyle = '#ffffff'; pen.lineWidth = 5; pen.stroke();
      pen.strokeStyle = '#0b57d0'; pen.lineWidth = 3; pen.stroke();
    } else if (chosen.layer) {
      outline(chosen.layer.shapes[chosen.row], '#0b57d0', 3.5);
    }
    if (chosen.square >= 0 && !(chosen.layer && chosen.layer.points)) {
      const [lon, lat] = squares.corner(chosen.square);
      pen.strokeStyle = '#0b57d0'; pen.lineWidth = 2;
      pen.strokeRect(toX(lon), toY(lat), squares.size * view.scale, squares.size * view.scale * stretch);
    }
  }

  function draw() {
    const ratio = devicePixelRatio || 1;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = '#eef0f2';
    pen.fillRect(0, 0, view.wide, view.high);
    if (tiles) drawSquares();
    for (const layer of layers) if (layer.shown) drawLayer(layer);
    drawChosen();
    if (crosshair) {
      const x = view.wide / 2, y = view.high / 2;
      pen.strokeStyle = '#0b57d0'; pen.lineWidth = 2;
      pen.beginPath();
      pen.moveTo(x - 9, y); pen.lineTo(x + 9, y); pen.moveTo(x, y - 9); pen.lineTo(x, y + 9);
      pen.stroke();
    }
    redrawn();
  }

  function fit(box = [squares.west, squares.south, squares.east, squares.north], room = 1.04) {
    view.x = (box[0] + box[2]) / 2;
    view.y = (box[1] + box[3]) / 2;
    const wide = Math.max(box[2] - box[0], squares.size) * room;
    const high = Math.max(box[3] - box[1], squares.size) * room * stretch;
    view.scale = Math.min(view.wide / wide, view.high / high);
    bound();
  }

  function bound() {
    const least = 0.5 * Math.min(view.wide / (squares.east - squares.west),
      view.high / (squares.north - squares.south) / stretch);
    view.scale = Math.min(Math.max(view.scale, least), 160 / squares.size);
    view.x = Math.min(Math.max(view.x, squares.west), squares.east);
    view.y = Math.min(Math.max(view.y, squares.south), squares.north);
    ask();
  }

  function resize() {
    const box = canvas.getBoundingClientRect(), first = view.wide === 1;
    view.wide = Math.max(50, box.width);
    view.high = Math.max(50, box.height);
    canvas.width = Math.round(view.wide * (devicePixelRatio || 1));
    canvas.height = Math.round(view.high * (devicePixelRatio || 1));
    if (first) fit(); else bound();
  }

  return {
    paint, ask, fit, resize, view,
    place: (x, y) => [lonOf(x), latOf(y)],
    pixels: (lon, lat) => [toX(lon), toY(lat)],
    pan(dx, dy) { view.x -= dx / view.scale; view.y += dy / (view.scale * stretch); bound(); },
    zoom(factor, x = view.wide / 2, y = view.high / 2) {
      const [lon, lat] = [lonOf(x), latOf(y)];
      view.scale *= factor;
      bound();
      view.x += lon - lonOf(x);
      view.y += lat - latOf(y);
      bound();
    },
    choose(what) { chosen = what; ask(); },
    aim(on) { crosshair = on; ask(); },
    km: () => 111.32 / stretch / view.scale,
  };
}
