'use strict';
(() => {
  const LARGEST = 8; // screen pixels for one of the picture
  const PIXELS_FROM = 2;
  const toolbar = document.querySelector('.toolbar');
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const chosen = (name) => toolbar ? new FormData(toolbar).get(name) : null;

  // ---------------------------------------------------------------------------------------------- one picture
  const makeViewer = (article) => {
    const stage = article.querySelector('.stage');
    const layers = new Map([...stage.querySelectorAll('.layer')].map((layer) => [layer.dataset.kind, layer]));
    const width = Number(stage.style.getPropertyValue('--width'));
    const state = { split: 50, zoom: 1, x: 0, y: 0, left: null, right: null, slider: false };
    const pointers = new Map();
    let dragged = null;
    let box = null; // of the window that a drag began in

    const divider = document.createElement('div');
    divider.className = 'divider';
    divider.tabIndex = 0;
    for (const [name, value] of Object.entries({ role: 'slider', 'aria-valuemin': 0, 'aria-valuemax': 100 })) {
      divider.setAttribute(name, value);
    }
    stage.append(divider);
    const controls = document.createElement('div');
    controls.className = 'controls';
    const output = document.createElement('output');
    const button = (text, label, action) => {
      const made = document.createElement('button');
      made.type = 'button';
      made.textContent = text;
      made.setAttribute('aria-label', label);
      made.addEventListener('click', action);
      return made;
    };
    const name = article.querySelector('h4').textContent;
    controls.append(
      button('−', `Zoom out: ${name}`, () => zoomBy(1 / 1.5)), output, button('+', `Zoom in: ${name}`, () => zoomBy(1.5)),
      button('Fit', `Whole picture: ${name}`, () => fit()),
    );
    stage.after(controls);
    stage.classList.add('ready');
    stage.tabIndex = -1;

    const label = (kind) => layers.get(kind).querySelector('figcaption').textContent;
    const shownWindow = () => (layers.get(state.left) || layers.values().next().value).querySelector('.window');
    const scale = () => (shownWindow().clientWidth / width) * state.zoom;

    const draw = () => {
      for (const key of ['split', 'zoom', 'x', 'y']) stage.style.setProperty(`--${key}`, state[key]);
      stage.classList.toggle('zoomed', state.zoom > 1);
      stage.classList.toggle('pixels', scale() > PIXELS_FROM);
      output.textContent = `${Math.round(scale() * 100)} %`;
      if (state.slider) {
        const share = Math.round(state.split);
        divider.setAttribute('aria-label', `Divider between ${label(state.left)} and ${label(state.right)}: ${name}`);
        divider.setAttribute('aria-valuenow', share);
        divider.setAttribute('aria-valuetext', `${share} % ${label(state.left)}, ${100 - share} % ${label(state.right)}`);
      }
    };
    const moveTo = (x, y) => {
      state.x = clamp(x, 1 - state.zoom, 0);
      state.y = clamp(y, 1 - state.zoom, 0);
      draw();
    };
    // About a point of the window, (0, 0) its left upper and (1, 1) its right lower corner.
    const zoomBy = (factor, x = 0.5, y = 0.5) => {
      const before = state.zoom;
      const most = Math.max(1, (LARGEST * width) / Math.max(1, shownWindow().clientWidth));
      state.zoom = clamp(before * factor, 1, most);
      if (state.zoom < 1.02) state.zoom = 1;
      moveTo(x - ((x - state.x) * state.zoom) / before, y - ((y - state.y) * state.zoom) / before);
    };
    const fit = () => { state.zoom = 1; moveTo(0, 0); };
    const splitAt = (share) => { state.split = clamp(share, 0, 100); draw(); };

    const place = (event) => {
      const around = (event.target.closest('.window') || shownWindow()).getBoundingClientRect();
      return [(event.clientX - around.left) / around.width, (event.clientY - around.top) / around.height, around];
    };
    const gap = () => {
      const [first, second] = [...pointers.values()];
      return { span: Math.hypot(first.x - second.x, first.y - second.y), x: (first.x + second.x) / 2, y: (first.y + second.y) / 2 };
    };

    stage.addEventListener('wheel', (event) => {
      const ours = event.ctrlKey || article.contains(document.activeElement);
      if (!ours || (state.zoom === 1 && event.deltaY > 0 && !event.ctrlKey)) return; // the page scrolls
      event.preventDefault();
      const [x, y] = place(event);
      const lines = event.deltaMode === 1 ? 16 : 1;
      zoomBy(Math.exp(-clamp(event.deltaY * lines, -150, 150) / (event.ctrlKey ? 120 : 300)), x, y);
    }, { passive: false });

    stage.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      if (event.target !== divider && !event.target.closest('.window')) return;
      const [x, , around] = place(event);
      box = around;
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      stage.setPointerCapture(event.pointerId);
      (state.slider ? divider : stage).focus({ preventScroll: true });
      if (event.pointerType === 'mouse') event.preventDefault();
      const ofDivider = state.slider && (event.target === divider || state.zoom === 1);
      dragged = ofDivider ? 'divider' : 'picture';
      stage.classList.toggle('moving', !ofDivider);
      if (ofDivider && event.target !== divider) splitAt(x * 100);
    });
    stage.addEventListener('pointermove', (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      const before = pointers.size === 2 ? gap() : null;
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (before) {
        const now = gap();
        moveTo(state.x + (now.x - before.x) / box.width, state.y + (now.y - before.y) / box.height);
        zoomBy(now.span / Math.max(1, before.span), (now.x - box.left) / box.width, (now.y - box.top) / box.height);
      } else if (dragged === 'divider') {
        splitAt(((event.clientX - box.left) / box.width) * 100);
      } else {
        moveTo(state.x + (event.clientX - last.x) / box.width, state.y + (event.clientY - last.y) / box.height);
      }
    });
    const release = (event) => {
      pointers.delete(event.pointerId);
      if (!pointers.size) stage.classList.remove('moving');
      dragged = 'picture';
    };
    stage.addEventListener('pointerup', release);
    stage.addEventListener('pointercancel', release);

    const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    article.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const zooms = { '+': () => zoomBy(1.5), '=': () => zoomBy(1.5), '-': () => zoomBy(1 / 1.5), '_': () => zoomBy(1 / 1.5), '0': fit };
      const arrow = ARROWS[event.key];
      const splits = { Home: 0, End: 100, PageUp: state.split - 10, PageDown: state.split + 10 };
      if (zooms[event.key]) {
        zooms[event.key]();
      } else if (arrow && (event.shiftKey || event.target !== divider)) {
        if (state.zoom === 1) return;
        moveTo(state.x - arrow[0] * 0.1, state.y - arrow[1] * 0.1);
      } else if (arrow && event.target === divider) {
        splitAt(state.split + 2 * (arrow[0] - arrow[1]));
      } else if (event.key in splits && event.target === divider) {
        splitAt(splits[event.key]);
      } else {
        return;
      }
      event.preventDefault();
    });

    const show = (view, left, right) => {
      const kinds = [...layers.keys()];
      const first = layers.has(left) ? left : kinds.find((kind) => kind !== right);
      const second = layers.has(right) && right !== first ? right : kinds.findLast((kind) => kind !== first);
      state.slider = view === 'slider' && first !== undefined && second !== undefined;
      [state.left, state.right] = [first, second];
      stage.classList.toggle('slider', state.slider);
      for (const [kind, layer] of layers) {
        layer.classList.toggle('left', state.slider && kind === first);
        layer.classList.toggle('right', state.slider && kind === second);
      }
      draw();
    };
    new ResizeObserver(draw).observe(stage);
    return { show };
  };

  // ---------------------------------------------------------------------------------------------- all pictures
  const viewers = [...document.querySelectorAll('.viewer')].map(makeViewer);
  const showAll = () => {
    for (const viewer of viewers) viewer.show(chosen('view') || 'all', chosen('left'), chosen('right'));
  };
  if (toolbar) {
    toolbar.hidden = false;
    document.querySelector('.hint.keys').hidden = false;
    let before = { left: chosen('left'), right: chosen('right') };
    toolbar.addEventListener('change', (event) => {
      const { name, value } = event.target;
      const other = { left: 'right', right: 'left' }[name];
      if (other && chosen(other) === value) { // a picture beside itself shows nothing: they change places
        toolbar.querySelector(`[name="${other}"][value="${CSS.escape(before[name])}"]`).checked = true;
      }
      before = { left: chosen('left'), right: chosen('right') };
      for (const side of toolbar.querySelectorAll('.side')) side.disabled = chosen('view') !== 'slider';
      showAll();
    });
  }
  showAll();

  // ---------------------------------------------------------------------------------------------- tables
  for (const table of document.querySelectorAll('table.sortable')) {
    const [body] = table.tBodies;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const sorter = document.createElement('button');
      sorter.type = 'button';
      sorter.append(...head.childNodes);
      head.append(sorter);
      sorter.addEventListener('click', () => {
        const rising = head.getAttribute('aria-sort') !== 'ascending';
        for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
        head.setAttribute('aria-sort', rising ? 'ascending' : 'descending');
        const key = (row) => {
          const said = row.cells[column].dataset.value;
          if (said === undefined) return row.cells[column].textContent;
          if (said === '' || said === 'nan') return NaN;
          return said === 'inf' ? Infinity : said === '-inf' ? -Infinity : Number(said);
        };
        const rows = [...body.rows].map((row) => [key(row), row]);
        rows.sort(([first], [second]) => {
          if (typeof first === 'string') return (rising ? 1 : -1) * first.localeCompare(second, undefined, { numeric: true });
          if (Number.isNaN(first) || Number.isNaN(second)) return Number.isNaN(first) - Number.isNaN(second);
          return (rising ? 1 : -1) * (first === second ? 0 : first < second ? -1 : 1);
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  }
  addEventListener('beforeprint', () => { for (const fold of document.querySelectorAll('details')) fold.open = true; });
})();
