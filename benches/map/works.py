"""What is measured and what is wanted of it: docs/design of the read path, issue 4."""

import dataclasses

#: The most features that a question of ours can have.
LIMIT = 10_000

FEATURE = """'{{"type":"Feature","id":' || to_json({key}) || ',"geometry":' || ST_AsGeoJSON(geom, 8)
    || ',"properties":' || json_build_object({properties}) || '}}'"""

PARCEL = FEATURE.format(key="p.id", properties="'id', p.id, 'county_code', county_code, 'park_code', park_code, 'name', name, "
                        "'state', state, 'approved_on', approved_on, 'area_m2', area_m2")
PARK = FEATURE.format(key="p.code", properties="'code', p.code, 'name', name, 'level', level, 'prefecture_code', prefecture_code, "
                      "'county_code', county_code, 'approved_area_ha', approved_area_ha, 'block_count', block_count")
COLLECTION = "SELECT '{{\"type\":\"FeatureCollection\",\"features\":[' || coalesce(string_agg({feature}, ','), '') || ']}}' FROM {source}"


@dataclasses.dataclass(frozen=True)
class Work:
    key: str
    title: str
    #: "items" or "tiles".
    answers: str
    #: Of bench.boxes or bench.tiles; None: the whole layer of parks.
    kind: str | None = None
    #: Every request is answered anew, no cache of ready tiles.
    cold: bool = False
    #: Asked by a member of staff with a jurisdiction, of the internal layer.
    staff: bool = False
    #: At least this share of the floor's requests a second with 8 connections.
    of_floor: float | None = None
    #: At least this many times Martin's.
    of_martin: float | None = None
    #: p99 of one connection at most, ms.
    p99_ms: float | None = None

    def statement(self):
        """The same question to PostGIS alone, for a random `:number`."""
        if self.answers == "tiles":
            return f"""SELECT ST_AsMVT(t, 'parcels', 4096, 'shape') FROM (
    SELECT p.id, p.county_code, p.park_code, p.name, p.state, p.approved_on::text, p.area_m2,
        ST_AsMVTGeom(ST_Transform(p.geom, 3857), ST_TileEnvelope(q.z, q.x, q.y), 4096, 64, true) AS shape
    FROM bench.tiles q JOIN bench.parcels p ON p.geom && ST_Transform(ST_TileEnvelope(q.z, q.x, q.y, margin => 64.0 / 4096), 4490)
    WHERE q.kind = '{self.kind}' AND q.number = :number) AS t"""
        if self.kind is None:
            return COLLECTION.format(feature=PARK, source="bench.parks p")
        where = f"q.kind = '{self.kind}' AND q.number = :number" + (" AND p.county_code LIKE '4301%'" if self.staff else "")
        box = "ST_MakeEnvelope(q.west::float8, q.south::float8, q.east::float8, q.north::float8, 4490)"
        return COLLECTION.format(feature=PARCEL, source=f"bench.boxes q JOIN bench.parcels p ON ST_Intersects(p.geom, {box}) WHERE {where}")


WORKS = [
    Work("small", "GeoJSON，范围内约 30 个要素", "items", "30", of_floor=0.6, p99_ms=5.0),
    Work("large", "GeoJSON，范围内约 1000 个要素", "items", "1000", of_floor=0.6),
    Work("parks", "GeoJSON，整个园区图层", "items", None, of_floor=0.6),
    Work("staff-small", "同上约 30 个，有辖区的查询人员", "items", "staff-30", staff=True, of_floor=0.4),
    Work("staff-large", "同上约 1000 个，有辖区的查询人员", "items", "staff-1000", staff=True, of_floor=0.4),
    Work("tile-high", "瓦片 z13–14，缓存", "tiles", "high-200", of_martin=1.0),
    Work("tile-high-cold", "瓦片 z13–14，不缓存", "tiles", "high-all", cold=True, of_martin=10.0),
    Work("tile-low", "瓦片 z8–10，缓存", "tiles", "low-200", of_martin=1.0),
    Work("tile-low-cold", "瓦片 z8–10，不缓存", "tiles", "low-all", cold=True, of_martin=10.0),
]
