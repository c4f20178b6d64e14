// Opens page.html in headless Chromium and compares the parks that the map draws from GeoJSON with those that it draws from tiles.
// Usage: node run.mjs URL; Chromium by $CHROMIUM or its usual names. Ends with 1 where something is wrong.

import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {extname, join, normalize} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const service = process.argv[2].replace(/\/$/, '');
const types = {'.html': 'text/html', '.mjs': 'text/javascript', '.css': 'text/css'};
const PATIENCE_MS = 60_000;

let tell;
const told = new Promise((resolve) => (tell = resolve));
const server = createServer(async (request, response) => {
  const {pathname} = new URL(request.url, 'http://localhost');
  if (request.method === 'POST') {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    tell(JSON.parse(Buffer.concat(pieces)));
    return response.writeHead(204).end();
  }
  const file = normalize(pathname.startsWith('/maplibre/') ? `node_modules/maplibre-gl/dist/${pathname.slice(10)}` : pathname.slice(1));
  try {
    const bytes = await readFile(join(here, file));
    response.writeHead(200, {'Content-Type': types[extname(file)] ?? 'application/octet-stream'}).end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const profile = await mkdtemp(join(tmpdir(), 'sizhi-maplibre-'));
const page = `http://127.0.0.1:${server.address().port}/page.html?service=${encodeURIComponent(service)}`;
const browser = spawn(process.env.CHROMIUM ?? 'chromium', [
  '--headless=new', '--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', `--user-data-dir=${profile}`, page,
], {stdio: 'ignore'});
browser.on('error', (error) => tell({error: `Chromium: ${error.message}`}));
try {
  const waited = new Promise((resolve) => setTimeout(() => resolve({error: `no answer in ${PATIENCE_MS} ms`}), PATIENCE_MS).unref());
  const {error, features, tiles} = await Promise.race([told, waited]);
  assert.equal(error, undefined);
  assert.ok(features.length > 3, 'the map drew nothing from GeoJSON');
  console.log(`  GeoJSON：地图画出 ${features.length} 个园区`);
  if (tiles === null) {
    console.log('  瓦片：未测，服务没有声明 OGC API Tiles');
  } else {
    assert.deepEqual(tiles, features);
    console.log(`  瓦片：地图画出 ${tiles.length} 个园区，与 GeoJSON 相同`);
  }
} finally {
  browser.kill();
  await new Promise((resolve) => (browser.exitCode === null ? browser.once('exit', resolve) : resolve()));
  await rm(profile, {recursive: true, force: true});
  server.close();
  server.closeAllConnections();
}
