// In the browser: a GeoJSON source of parks and, where the service has tiles, a vector source by its TileJSON; counts what the map has drawn.

import * as maplibregl from '/maplibre/maplibre-gl.mjs';

const url = new URLSearchParams(location.search).get('service');
const tell = (result) => fetch('/result', {method: 'POST', body: JSON.stringify(result)});

try {
  const {conformsTo} = await (await fetch(`${url}/api/conformance?f=json`)).json();
  const hasTiles = conformsTo.includes('http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core');
  const sources = {features: {type: 'geojson', data: `${url}/api/collections/parks/items?limit=1000`}};
  const layers = [{id: 'features', type: 'fill', source: 'features', paint: {'fill-color': '#c00'}}];
  if (hasTiles) {
    sources.tiles = {type: 'vector', url: `${url}/api/collections/parks/tiles/WebMercatorQuad?f=tilejson`};
    layers.push({id: 'tiles', type: 'fill', source: 'tiles', 'source-layer': 'parks', paint: {'fill-color': '#00c'}});
  }
  const map = new maplibregl.Map({
    container: 'map',
    style: {version: 8, sources, layers},
    center: [112.98, 28.2],
    zoom: 9,
    fadeDuration: 0,
  });
  map.on('error', (event) => tell({error: event.error?.message ?? String(event.error)}));
  map.once('idle', () => {
    const drawn = (layer) => [...new Set(map.queryRenderedFeatures({layers: [layer]}).map((feature) => feature.properties.code))].sort();
    tell({features: drawn('features'), tiles: hasTiles ? drawn('tiles') : null});
  });
} catch (error) {
  tell({error: error.message});
}
