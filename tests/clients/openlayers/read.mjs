// OpenLayers reads the service as a map page would: GeoJSON by pages and by the view's box; where the service has tiles, its tilesets and tiles
// by the format MVT. Usage: node read.mjs URL

import assert from 'node:assert/strict';
import GeoJSON from 'ol/format/GeoJSON.js';
import MVT from 'ol/format/MVT.js';
import {transformExtent} from 'ol/proj.js';
import {createXYZ} from 'ol/tilegrid.js';

const url = process.argv[2].replace(/\/$/, '');
const format = new GeoJSON({featureProjection: 'EPSG:3857'});

async function json(address) {
  const answer = await fetch(address, {headers: {Accept: 'application/geo+json, application/json'}});
  assert.equal(answer.status, 200, `${address}: ${answer.status}`);
  return answer.json();
}

async function features(layer, asked = '') {
  const found = [];
  for (let next = `${url}/api/collections/${layer}/items?limit=50${asked}`; next; ) {
    const page = await json(next);
    found.push(...format.readFeatures(page));
    next = page.links.find((link) => link.rel === 'next')?.href;
  }
  return found;
}

const {collections} = await json(`${url}/api/collections`);
assert.ok(collections.length >= 3);
for (const {id} of collections) {
  const read = await features(id);
  const ids = new Set(read.map((feature) => feature.getId()));
  assert.equal(ids.size, read.length, `${id}: a feature came twice`);
  const {numberMatched} = await json(`${url}/api/collections/${id}/items?limit=1`);
  assert.equal(read.length, numberMatched);
  console.log(`  ${id}：${read.length} 个`);
}

// What the strategy "bbox" of a vector source asks, judged by OpenLayers' own intersection.
const parks = await features('parks');
const view = transformExtent([112.5, 27.5, 113.5, 28.5], 'EPSG:4326', 'EPSG:3857');
const shown = (list) => list.filter((feature) => feature.getGeometry()?.intersectsExtent(view)).map((feature) => feature.getId()).sort();
const asked = (await features('parks', '&bbox=112.5,27.5,113.5,28.5')).map((feature) => feature.getId()).sort();
assert.deepEqual(asked, shown(parks));
assert.ok(asked.length > 0);
console.log(`  范围内 ${asked.length} 个，与 OpenLayers 自己的判断相同`);

const {conformsTo} = await json(`${url}/api/conformance?f=json`);
if (conformsTo.includes('http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core')) {
  await tiles();
} else {
  console.log('  瓦片：未测，服务没有声明 OGC API Tiles');
}

// Every park that OpenLayers finds in the tile's square by GeoJSON is in the tile, near where it should be.
async function tiles() {
  const grid = createXYZ();
  const mvt = new MVT();
  const blocks = await features('park_blocks');
  let seen = 0;
  for (const block of blocks.slice(0, 40)) {
    const geometry = block.getGeometry();
    const [z, x, y] = grid.getTileCoordForCoordAndZ(geometry.getInteriorPoints().getFirstCoordinate(), 14);
    const answer = await fetch(`${url}/api/collections/park_blocks/tiles/WebMercatorQuad/${z}/${y}/${x}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'application/vnd.mapbox-vector-tile');
    const extent = grid.getTileCoordExtent([z, x, y]);
    const read = mvt.readFeatures(await answer.arrayBuffer(), {extent, featureProjection: 'EPSG:3857'});
    const found = read.find((feature) => feature.get('id') === block.getId());
    assert.ok(found, `${block.getId()} is not in tile ${z}/${y}/${x}`);
    seen += 1;
  }
  console.log(`  瓦片：${seen} 个区块都在自己的瓦片里`);
}
