// node check.mjs DASHBOARDS: holds what is in that folder against Grafana's
// types, as npm has them (@grafana/schema of Grafana 9 to 12, and the alert rules
// of the foundation SDK).  Says how many files of each kind it has read, and
// what TypeScript finds: a line for each error, with the file and the panel.
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const top = process.argv[2];
const lines = ["import type * as P from './plain';"];
const where = [];
const read = { dashboards: 0, panels: 0, rules: 0, yaml: 0 };

function hold(type, value, what) {
    const text = JSON.stringify(value, null, 1).split('\n');
    where.push({ from: lines.length, what: `${what} as ${type}` });
    text[0] = `export const v${where.length}: P.${type} = ${text[0]}`;
    lines.push(...text);
}

function dashboard(file) {
    const board = JSON.parse(readFileSync(join(top, file), 'utf8'));
    read.dashboards++;
    for (const version of [9, 10, 11, 12]) {
        hold(`Dashboard${version}`, board, file);
    }
    for (const panel of board.panels.filter((p) => p.type !== 'row')) {
        const what = `${file}: ${panel.title}`;
        read.panels++;
        hold(`OptionsOf['${panel.type}']`, panel.options, what);
        if (panel.type === 'timeseries') {
            hold('TimeseriesCustom', panel.fieldConfig.defaults.custom, what);
        }
    }
}

for (const language of ['influxql', 'flux', 'sql']) {
    readdirSync(join(top, language)).filter((name) => name.endsWith('.json'))
        .forEach((name) => dashboard(join(language, name)));
    for (const kind of ['datasources', 'dashboards', 'alerting']) {
        const file = join(language, 'provisioning', kind, 'httpd.yaml');
        const said = parse(readFileSync(join(top, file), 'utf8'));
        read.yaml++;
        for (const rule of (said.groups ?? []).flatMap((g) => g.rules)) {
            read.rules++;
            hold('Rule', rule, `${file}: ${rule.title}`);
        }
    }
}
writeFileSync('check.ts', lines.join('\n') + '\n');
console.log(Object.entries(read).map(([k, v]) => `${v} ${k}`).join(', '));

try {
    execFileSync('node_modules/.bin/tsc', ['-p', '.'], { encoding: 'utf8' });
} catch (e) {
    const found = e.stdout || String(e);
    for (const line of found.split('\n').filter((l) => l !== '')) {
        const at = line.match(/^check\.ts\((\d+),/);
        const part = at && where.findLast((w) => w.from < at[1]);
        console.log(part ? `${part.what}: ${line}` : line);
    }
    process.exit(1);
}
