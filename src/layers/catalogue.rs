//! The layers of a running service: the register's own, then the operator's.

use super::declaration::LAYERS;
use crate::domain::access::Viewer;
use crate::domain::layer::{Layer, Visibility};

/// All layers, in the order of the collections page.
#[derive(Debug, Clone)]
pub struct Catalogue {
    layers: Vec<&'static Layer>,
}

impl Default for Catalogue {
    /// The register's own.
    fn default() -> Self {
        Self { layers: LAYERS.iter().collect() }
    }
}

impl Catalogue {
    /// The register's own and these, whose ids are none of theirs.
    pub fn with(extras: impl IntoIterator<Item = &'static Layer>) -> Self {
        let mut catalogue = Self::default();
        catalogue.layers.extend(extras);
        catalogue
    }

    pub fn all(&self) -> impl Iterator<Item = &'static Layer> {
        self.layers.iter().copied()
    }

    /// The operator's alone.
    pub fn extras(&self) -> impl Iterator<Item = &'static Layer> {
        self.all().filter(|layer| layer.extra.is_some())
    }

    /// Those that documents for everybody tell of. The register's internal layers are in the handbook; the operator's are nobody's business.
    pub fn documented(&self) -> impl Iterator<Item = &'static Layer> {
        self.all().filter(|layer| layer.extra.is_none() || layer.visibility == Visibility::Public)
    }

    /// The layer of this id.
    pub fn find(&self, id: &str) -> Option<&'static Layer> {
        self.all().find(|layer| layer.id == id)
    }

    /// The layers that somebody may know of.
    pub fn visible(&self, viewer: &Viewer) -> impl Iterator<Item = &'static Layer> {
        self.all().filter(move |layer| layer.is_for(viewer))
    }
}
