// The page: layers, list, what was chosen, language. Texts enter the page as text, never as markup.
const book = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);
let lang = document.documentElement.lang;
const say = (key) => book.words[lang][key];
const fill = (key, values) => say(key).replace(/\{(\w+)\}/g, (_, name) => values[name]);

function element(tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function isolated(text) {
  const made = element('bdi', text);
  made.dir = 'auto';
  return made;
}

function show(value, digits = 3) {
  if (value === null) return '–';
  if (value === true || value === false) return say(value ? 'yes' : 'no');
  if (typeof value === 'number') {
    return new Intl.NumberFormat(lang, { maximumFractionDigits: digits }).format(value);
  }
  return value;
}

// Values that the program itself made have words; those that came with the data stay as they are.
const CODED = new Set(['class', 'cell_class', 'labels']);
// The layers whose outlines are numbered by rank, and can be clicked.
const RANKED = new Set(['candidates', 'drawn']);
const worded = (name, value) => CODED.has(name) && Object.hasOwn(book.words[lang], value) ? say(value) : value;

function degrees(value, sides) {
  const text = new Intl.NumberFormat(lang, { minimumFractionDigits: 2, maximumFractionDigits: book.digits })
    .format(Math.abs(value));
  return `${text}° ${say(sides[value < 0 ? 1 : 0])}`;
}

function sentences(table, row) {
  const get = (name) => valueOf(table, name, row), told = [];
  const score = get('probability');
  if (score === null) {
    if (table.columns.has('probability')) told.push(say('no_score'));
  } else if (get('low') !== null && get('high') !== null) {
    told.push(fill('says_between', { score: show(score), low: show(get('low')), high: show(get('high')) }));
  } else {
    told.push(fill('says', { score: show(score) }));
  }
  const set = get('labels');
  if (set !== null && Object.hasOwn(book.words[lang], `set_${set}`)) told.push(say(`set_${set}`));
  if (get('applicable') === true) told.push(say('applicable'));
  if (get('applicable') === false || get('applicable') === 0) {
    const [far, apart] = [get('dissimilarity'), get('dispute')];
    if (far !== null && far > 1) told.push(fill('unlike', { times: show(far, 1) }));
    else if (apart !== null && apart > 1) told.push(fill('disputed', { times: show(apart, 1) }));
    else told.push(say('not_applicable'));
  }
  if (get('clear_observations') !== null && get('first_image') !== null) {
    told.push(fill('seen', { dates: show(get('clear_observations'), 1), first: get('first_image'), last: get('last_image') }));
  }
  if (get('in_training') === true) told.push(say('trained'));
  if (get('withheld') === true) told.push(say('asked_to_leave'));
  return told;
}

function card(title, table, row, open) {
  const made = element('article');
  const head = element('h4');
  head.append(isolated(title));
  made.append(head);
  for (const line of sentences(table, row)) made.append(element('p', line));
  const reasons = valueOf(table, `reasons_${lang}`, row);
  if (reasons !== null) { const line = element('p'); line.append(isolated(reasons)); made.append(line); }
  const more = element('details');
  more.open = open;
  more.append(element('summary', say('all_columns')));
  const list = element('dl');
  for (const [name, column] of table.columns) {
    const value = valueOf(table, name, row);
    if (value === null || name.startsWith('reasons_')) continue;
    list.append(element('dt', column[lang]));
    const text = element('dd');
    const exact = name === 'longitude' || name === 'latitude';
    text.append(isolated(show(worded(name, value), exact ? 5 : 3)));
    list.append(text);
  }
  more.append(list);
  made.append(more);
  return made;
}

async function start() {
  const squares = await readSquares(book.squares), cells = await readTable(book.cells);
  const layers = [];
  for (const packed of book.layers) {
    const table = await readTable(packed), shapes = await readShapes(packed.shapes);
    const look = table.name === 'sites'
      ? (n) => valueOf(table, 'matched', n) === true
        ? ['circle', book.found, '#ffffff', table.rows > 500 ? 4 : 6]
        : ['diamond', book.missed, '#111111', table.rows > 500 ? 4 : 6]
      : () => ['circle', packed.colour, '#ffffff', 5];
    layers.push({ ...table, shapes, look, shown: packed.shown,
      label: RANKED.has(table.name) ? (n) => String(valueOf(table, 'rank', n) ?? n + 1) : null });
  }
  const named = Object.fromEntries(layers.map((layer) => [layer.name, layer]));
  const canvas = byId('map');
  document.documentElement.classList.add('live');
  byId('atlas').hidden = false;
  let base = 'score', chosen = null;

  function scaleBar() {
    const most = map.km() * 130, power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((n) => n * power).find((n) => n <= most);
    byId('scale').style.width = `${length / map.km()}px`;
    byId('scale').textContent = `${show(length)} km`;
  }
  const map = makeMap(canvas, squares, layers, scaleBar);

  for (const look of Object.values(book.looks)) look.numbers = await inflate(look.kinds);
  function paint() {
    const look = book.looks[base];
    map.paint(look ? look.numbers : null, look ? look.palette : []);
  }

  function legend() {
    const list = byId('legend');
    list.replaceChildren();
    const add = (form, colour, text) => {
      const item = element('li'), swatch = element('i', '', form);
      swatch.style.setProperty('--c', colour);
      item.append(swatch, text);
      list.append(item);
    };
    for (const [form, colour, names] of book.looks[base] ? book.looks[base].legend : []) add(form, colour, names[lang]);
    for (const layer of layers) {
      if (!layer.shown) continue;
      for (const [form, colour, names] of layer.legend) add(form, colour, names[lang]);
    }
  }

  function controls() {
    const box = byId('layers');
    box.replaceChildren(element('legend', say('layers')));
    const choice = (type, id, on, text, change) => {
      const label = element('label'), input = element('input');
      input.type = type; input.id = id; input.checked = on; input.name = type === 'radio' ? 'base' : id;
      input.addEventListener('change', () => { change(input.checked); legend(); map.ask(); });
      label.append(input, text);
      box.append(label);
    };
    for (const name of Object.keys(book.looks)) {
      choice('radio', `base-${name}`, base === name, book.looks[name].title[lang], () => { base = name; paint(); });
    }
    choice('radio', 'base-none', base === 'none', say('none'), () => { base = 'none'; paint(); });
    box.append(element('hr'));
    for (const layer of layers) {
      choice('checkbox', `layer-${layer.name}`, layer.shown, layer.title[lang], (on) => { layer.shown = on; });
    }
  }

  const titleOf = (layer, row) => layer.name === 'candidates' ? `${say('candidate')} ${layer.label(row)}`
    : layer.name === 'drawn' ? `${say('drawn')} ${layer.label(row)}`
    : String(valueOf(layer, 'name', row) ?? valueOf(layer, 'title', row) ?? layer.title[lang]);

  function tell() {
    const box = byId('shown');
    box.replaceChildren();
    if (!chosen) return void box.append(element('p', say('nothing_chosen'), 'note'));
    if (chosen.layer) {
      if (chosen.layer.name === 'sites') {
        const found = valueOf(chosen.layer, 'matched', chosen.row) === true;
        const told = { name: say('site'), value: chosen.layer.legend[found ? 1 : 0][2][lang] };
        box.append(element('p', fill('pair', told), 'note'));
      }
      box.append(card(titleOf(chosen.layer, chosen.row), chosen.layer, chosen.row, true));
    }
    if (chosen.square >= 0) {
      const [west, north] = squares.corner(chosen.square), half = squares.size / 2;
      const where = `${degrees(north - half, 'NS')}, ${degrees(west + half, 'EW')}`;
      const kind = valueOf(cells, 'class', chosen.square);
      const title = fill('pair', { name: `${say('square')} ${where}`, value: show(worded('class', kind)) });
      box.append(card(title, cells, chosen.square, !chosen.layer));
    } else if (!chosen.layer) {
      box.append(element('p', say('outside')));
    }
  }

  function follow() {
    const row = chosen && chosen.layer === named.candidates ? chosen.row : -1;
    for (const one of byId('list').querySelectorAll('button')) {
      const on = Number(one.dataset.row) === row;
      one.setAttribute('aria-pressed', on);
      if (on) {
        const list = byId('list');
        const top = one.offsetTop - list.offsetTop;
        if (top < list.scrollTop || top + one.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - 40;
      }
    }
  }

  function choose(what) { chosen = what; map.choose(what); tell(); follow(); }

  function at(x, y) {
    const [lon, lat] = map.place(x, y);
    for (const layer of [...layers].reverse()) {
      if (!layer.shown || !layer.points) continue;
      let best = -1, near = 14 ** 2;
      layer.shapes.forEach((shape, n) => {
        if (!shape.rings.length) return;
        const [px, py] = map.pixels(shape.rings[0][0], shape.rings[0][1]);
        const far = (px - x) ** 2 + (py - y) ** 2;
        if (far < near) { near = far; best = n; }
      });
      if (best >= 0) return { layer, row: best, square: squares.rowAt(lon, lat) };
    }
    for (const layer of [...RANKED].map((name) => named[name])) {
      if (!layer || !layer.shown) continue;
      const row = layer.shapes.findIndex((shape) => lon >= shape.box[0] && lon <= shape.box[2] &&
        lat >= shape.box[1] && lat <= shape.box[3] && holds(shape, lon, lat));
      if (row >= 0) return { layer, row, square: squares.rowAt(lon, lat) };
    }
    return { layer: null, row: -1, square: squares.rowAt(lon, lat) };
  }

  function list() {
    const box = byId('list'), layer = named.candidates;
    box.replaceChildren();
    for (let row = 0; layer && row < Math.min(layer.rows, 500); row++) {
      const item = element('li'), button = element('button');
      button.type = 'button';
      button.dataset.row = row;
      const score = show(valueOf(layer, 'probability', row)), area = valueOf(layer, 'area_km2', row);
      button.append(element('b', layer.label(row)),
        ` ${say('score')} ${score}${area === null ? '' : `, ${show(area, 1)} km²`}`);
      button.addEventListener('click', () => {
        layer.shown = true;
        controls();
        legend();
        choose({ layer, row, square: -1 });
        map.fit(layer.shapes[row].box, 6);
      });
      item.append(button);
      box.append(item);
    }
    byId('candidate-list').hidden = !layer || !layer.rows;
  }

  function speak() {
    for (const one of document.querySelectorAll('[data-word]')) one.textContent = say(one.dataset.word);
    for (const one of document.querySelectorAll('[data-name]')) {
      one.setAttribute('aria-label', say(one.dataset.name));
      if (one.tagName === 'BUTTON') one.title = say(one.dataset.name);
    }
    byId('too-large').textContent = book.too_large.length
      ? `${say('too_large')} ${book.too_large.map((names) => names[lang]).join(', ')}` : '';
    controls(); legend(); list(); tell(); follow(); map.ask();
  }

  for (const one of document.querySelectorAll('input[name="lang"]')) {
    one.addEventListener('change', () => {
      lang = one.value;
      document.documentElement.lang = lang;
      document.title = book.titles[lang];
      speak();
    });
  }

  // Fingers and mouse: one moves, two zoom; a press that did not move chooses.
  const fingers = new Map();
  let moved = 0;
  const spot = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, spot(event));
    if (fingers.size === 1) moved = 0;
  });
  canvas.addEventListener('pointermove', (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = spot(event), other = [...fingers].find(([id]) => id !== event.pointerId);
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (other) {
      const apart = (p) => Math.max(1, Math.hypot(p[0] - other[1][0], p[1] - other[1][1]));
      map.zoom(apart(now) / apart(before), other[1][0], other[1][1]);
      moved = 100;
    } else if (moved > 5) {
      map.pan(now[0] - before[0], now[1] - before[1]);
    }
    fingers.set(event.pointerId, now);
  });
  const lifted = (event) => {
    if (fingers.delete(event.pointerId) && event.type === 'pointerup' && moved <= 5) choose(at(...spot(event)));
  };
  canvas.addEventListener('pointerup', lifted);
  canvas.addEventListener('pointercancel', lifted);
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    map.zoom(1.0015 ** -event.deltaY, ...spot(event));
  }, { passive: false });
  canvas.addEventListener('keydown', (event) => {
    const step = 60, keys = {
      ArrowLeft: () => map.pan(step, 0), ArrowRight: () => map.pan(-step, 0),
      ArrowUp: () => map.pan(0, step), ArrowDown: () => map.pan(0, -step),
      '+': () => map.zoom(1.5), '=': () => map.zoom(1.5), '-': () => map.zoom(1 / 1.5), 0: () => map.fit(),
      Enter: () => choose(at(map.view.wide / 2, map.view.high / 2)),
      Escape: () => choose(null),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  canvas.addEventListener('focus', () => map.aim(canvas.matches(':focus-visible')));
  canvas.addEventListener('blur', () => map.aim(false));
  byId('zoom-in').addEventListener('click', () => map.zoom(1.6));
  byId('zoom-out').addEventListener('click', () => map.zoom(1 / 1.6));
  byId('zoom-all').addEventListener('click', () => map.fit());
  new ResizeObserver(map.resize).observe(canvas);

  // A language chosen before the script ran, or kept by the browser over a reload.
  const kept = document.querySelector('input[name="lang"]:checked');
  if (kept) { lang = kept.value; document.documentElement.lang = lang; }
  map.resize();
  paint();
  speak();
  canvas.dataset.ready = 'yes';
}

// Without what this needs (an old browser) the page stays as it is: pictures and tables.
if ('DecompressionStream' in window && 'ResizeObserver' in window) start();
