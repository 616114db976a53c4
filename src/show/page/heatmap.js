// heatmap.js: durations of requests over time; a pixel of a small picture is a
// moment and a bucket, and the browser makes it large.

// From few requests to many, on light and on dark ground.
const RAMPS = {
    light: [[222, 235, 250], [158, 202, 240], [83, 152, 222], [32, 96, 190], [8, 48, 120]],
    dark: [[20, 54, 84], [18, 98, 110], [38, 148, 94], [140, 196, 60], [250, 232, 90]],
};
const BOTTOM = 22;
const TOP = 6;

function isDark() {
    return matchMedia('(prefers-color-scheme: dark)').matches;
}

function rampColor(ramp, share) {
    const at = Math.min(share, 0.9999) * (ramp.length - 1);
    const i = Math.floor(at), part = at - i;
    return ramp[i].map((c, j) => c + (ramp[i + 1][j] - c) * part);
}

// Cells of equal width: requests a second of what falls into each, and from when
// to when that is.  What happened in a gap is in the moment behind it, so it
// falls into all cells of the gap.
function gather(s, from, to, columns) {
    const rows = BUCKETS;
    const cells = new Float64Array(columns * rows);
    const seconds = new Float64Array(columns);
    const begin = new Float64Array(columns).fill(Infinity);
    const end = new Float64Array(columns);
    s.time.forEach((time, i) => {
        const heat = s.heat[i];
        if (!heat || time <= from || time > to) return;
        const spent = secondsOf(s, s.heat, i);
        const place = t => Math.round((t - from) / (to - from) * columns);
        // The newest has a cell, however narrow the columns are.
        const first = Math.min(columns - 1, Math.max(0, place(time - spent)));
        const behind = Math.max(first + 1, place(time));
        for (let x = first; x < Math.min(behind, columns); x++) {
            seconds[x] += spent;
            begin[x] = Math.min(begin[x], time - spent);
            end[x] = time;
            heat.counts.forEach((n, y) => cells[x * rows + heat.first + y] += n);
        }
    });
    return { cells: cells.map((n, i) => n && n / seconds[Math.floor(i / rows)]), seconds, begin, end };
}

// The buckets that have requests, and one on each side.
function usedRows(cells, rows) {
    let low = rows, high = -1;
    cells.forEach((n, i) => {
        if (n > 0) {
            low = Math.min(low, i % rows);
            high = Math.max(high, i % rows);
        }
    });
    return high < 0 ? null : [Math.max(0, low - 1), Math.min(rows - 1, high + 1)];
}

function picture(cells, rows, columns, [low, high]) {
    const canvas = document.createElement('canvas');
    canvas.width = columns;
    canvas.height = high - low + 1;
    const ctx = canvas.getContext('2d');
    const image = ctx.createImageData(canvas.width, canvas.height);
    const ramp = RAMPS[isDark() ? 'dark' : 'light'];
    const most = Math.log1p(cells.reduce((a, b) => Math.max(a, b), 0));
    for (let x = 0; x < columns; x++) {
        for (let y = low; y <= high; y++) {
            const n = cells[x * rows + y];
            if (n <= 0) continue;
            const to = ((high - y) * columns + x) * 4;
            const rgb = rampColor(ramp, Math.log1p(n) / most);
            image.data.set([rgb[0], rgb[1], rgb[2], 255], to);
        }
    }
    ctx.putImageData(image, 0, 0);
    return canvas;
}

function makeHeatmap() {
    const plot = $('plot-heat'), last = $('last-heat'), picked = $('cell-heat');
    const canvas = document.createElement('canvas');
    let shown = null;
    plot.append(canvas);

    function axis(ctx, width, height) {
        const { used, from, to } = shown;
        const bottom = height - BOTTOM, row = (bottom - TOP) / (used[1] - used[0] + 1);
        ctx.fillStyle = color('soft');
        ctx.font = FONT;
        ctx.textAlign = 'right';
        ctx.textBaseline = 'middle';
        for (let power = -5; power <= 2; power++) {
            const y = bottom - ((Math.log2(10 ** power) + 16) * 4 + 1 - used[0]) * row;
            if (y < TOP || y > bottom) continue;
            ctx.fillText(taken(10 ** power), LEFT - 8, Math.max(y, TOP + 5));
            ctx.globalAlpha = 0.25;
            ctx.fillRect(LEFT, Math.round(y), width - LEFT - 10, 1);
            ctx.globalAlpha = 1;
        }
        timeAxis(ctx, width, bottom, from, to);
    }

    function timeAxis(ctx, width, bottom, from, to) {
        const wide = width - LEFT - 10;
        const steps = [60, 120, 300, 600, 3600, 7200, 14400, 21600];
        const step = steps.find(n => wide / ((to - from) / n) >= 60) || 43200;
        const zone = new Date(to * 1000).getTimezoneOffset() * 60;
        ctx.textAlign = 'center';
        ctx.textBaseline = 'top';
        for (let t = Math.ceil((from - zone) / step) * step + zone; t <= to; t += step) {
            const x = LEFT + (t - from) / (to - from) * wide;
            if (x < width - 20) ctx.fillText(clock(t).slice(0, 5), x, bottom + 6);
        }
    }

    function paint() {
        const ratio = devicePixelRatio || 1;
        const width = plot.clientWidth, height = plot.clientHeight;
        if (!shown || width < 100) return;
        if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
            canvas.width = Math.round(width * ratio);
            canvas.height = Math.round(height * ratio);
        }
        const ctx = canvas.getContext('2d');
        ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
        ctx.clearRect(0, 0, width, height);
        if (!shown.used) {
            ctx.fillStyle = color('soft');
            ctx.font = FONT;
            ctx.fillText('No request ended in this time.', LEFT, height / 2);
            return;
        }
        ctx.imageSmoothingEnabled = false;
        ctx.drawImage(picture(shown.cells, shown.rows, shown.columns, shown.used), LEFT, TOP, width - LEFT - 10,
            height - BOTTOM - TOP);
        axis(ctx, width, height);
        const { from, to } = shown;
        drawMarks(ctx, from, to, t => LEFT + (t - from) / (to - from) * (width - LEFT - 10), TOP, height - BOTTOM, 1);
    }

    // The cell under the pointer.
    function cellAt(e) {
        if (!shown || !shown.used) return null;
        const box = canvas.getBoundingClientRect();
        const x = Math.floor((e.clientX - box.left - LEFT) / (box.width - LEFT - 10) * shown.columns);
        const [low, high] = shown.used;
        const y = high - Math.floor((e.clientY - box.top - TOP) / (box.height - BOTTOM - TOP) * (high - low + 1));
        if (x < 0 || x >= shown.columns || y < low || y > high) return null;
        const lower = y > 0 ? upperOf(y - 1) : 0;
        const time = i => shown.from + i / shown.columns * (shown.to - shown.from);
        const n = shown.cells[x * shown.rows + y], is = shown.seconds[x] > 0;
        return { bucket: y, from: is ? shown.begin[x] : time(x), to: is ? shown.end[x] : time(x + 1), rate: n,
            count: Math.round(n * shown.seconds[x]),
            took: y === BUCKETS - 1 ? 'more than ' + taken(lower) : taken(lower) + ' to ' + taken(upperOf(y)) };
    }

    function tell(e) {
        const cell = cellAt(e);
        if (cell) say(last, 'At ' + clock(cell.to) + ': ' + rate(cell.rate) + ' requests a second took ' + cell.took);
        else if (shown && shown.used) summary();
    }

    // What was clicked at stays, for its trace id to be copied.
    function pick(e) {
        const cell = cellAt(e);
        picked.hidden = !cell;
        if (!cell) return;
        const { from, to, count, took } = cell;
        const x = count > 0 ? exemplarOf(cell.bucket, from, to) : null;
        const is = x && x.time >= from && x.time <= to;
        picked.replaceChildren(clock(from) + ' to ' + clock(to) + ': ' + (count === 1 ? '1 request' : number(count)
            + ' requests') + ' took ' + took + '. ');
        if (x) {
            picked.append(is ? 'One of them' : 'The nearest one known', ' ended at ' + moment(x.time) + ' after '
                + taken(x.seconds) + ', its trace is ', make('code', x.trace_id));
        }
        else if (count > 0) {
            picked.append('The trace of none is known: that needs a traceparent header with the request, and the field'
                + ' trace_id in its point (InfluxMetricsFields +trace_id).');
        }
    }

    function summary() {
        const { plain } = shown;
        const p50 = lastKnown(plain.p50), p99 = lastKnown(plain.p99), max = lastKnown(plain.max);
        // A percentile is the upper bound of its bucket; nothing took longer than the longest.
        const most = p => 'at most ' + taken(max == null ? p : Math.min(p, max));
        say(last, p50 == null ? 'No request ended in this time.' : 'Last: half of the requests took ' + most(p50)
            + ', 99 % ' + most(p99) + (max == null ? '' : ', the longest ' + taken(max)));
    }

    canvas.addEventListener('pointermove', tell);
    canvas.addEventListener('click', pick);
    canvas.addEventListener('pointerleave', () => shown && summary());
    new ResizeObserver(paint).observe(plot);
    return {
        // s has the buckets, plain the percentiles.
        draw(s, plain, from, to) {
            // A cell has a step of the answer at least, and two pixels.
            const unit = s.step.length ? Math.max(...s.step) : 1;
            const most = Math.floor((plot.clientWidth - LEFT - 10) / 2);
            const columns = Math.max(30, Math.min(Math.floor((to - from) / unit), most));
            const found = gather(s, from, to, columns);
            shown = { plain, from, to, columns, rows: BUCKETS, used: usedRows(found.cells, BUCKETS), ...found };
            paint();
            if (!canvas.matches(':hover')) summary();
        },
        redraw: paint,
    };
}
