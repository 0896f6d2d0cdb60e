//! A file of the output, read in full for its digest, and what its metadata say.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use arrow_schema::{Schema, SchemaRef};
use speed_layer_core::commit::{Codec, Digest, PartName};
use speed_layer_store::PublishedFile;
use speed_layer_store::footer::Recipe;
use speed_layer_store::part::digest_of;

use super::Output;

/// A file whose rows are to be copied.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub codec: Codec,
    pub sha256: Digest,
    pub file: PublishedFile,
    pub recipe: Recipe,
    /// Its columns, without metadata.
    pub schema: SchemaRef,
}

impl Source {
    /// Reads the file `name` of the folder that is `path` below the output.
    ///
    /// # Errors
    /// It has gone or is damaged, no aggregate's, or lies where it does not belong.
    pub fn read(folder: &Path, path: &str, name: &PartName) -> anyhow::Result<Self> {
        let at = folder.join(name.to_string());
        let file = PublishedFile::open(&at)?;
        let Some(recipe) = file.footer.recipe.clone() else {
            bail!(
                "{} does not say which aggregate its rows are of: it holds dead letters, late rows or partial windows, \
                 or an earlier version wrote it; give the output of an aggregate",
                at.display()
            );
        };
        ensure!(
            recipe.path == path && file.footer.job == name.job,
            "{} says that it is of job {} and lies in {:?} below its output; give the output itself, with its files \
             where they were published",
            at.display(),
            file.footer.job,
            recipe.path
        );
        let mut bytes = File::open(&at).with_context(|| format!("cannot read {}", at.display()))?;
        let sha256 = digest_of(&mut bytes).with_context(|| format!("cannot read {}", at.display()))?;
        let schema = Schema::new(file.schema.fields().clone()).into();
        Ok(Self { name: name.to_string(), codec: name.codec, sha256, file, recipe, schema })
    }

    pub fn output(&self) -> Output {
        Output {
            job: self.file.footer.job.clone(),
            aggregate: self.recipe.aggregate.clone(),
            key: self.recipe.key.clone(),
            keep_key_column: self.recipe.keep_key_column,
            window_ms: self.recipe.window_ms,
        }
    }
}
