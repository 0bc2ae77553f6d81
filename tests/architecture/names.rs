//! Every path that a source file names, in full.

use std::collections::HashMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A path in full: `crate`, or the name of another crate, first. Last may be `*`.
pub(crate) type FullPath = Vec<String>;

/// Parses a file of the module `module`, and gives what it names outside of `#[cfg(test)]`.
pub(crate) fn named(module: &[String], text: &str) -> syn::Result<Vec<FullPath>> {
    let file = syn::parse_file(text)?;
    let mut aliases = Aliases { module: rooted(module), names: HashMap::new(), imported: Vec::new() };
    // Twice, because an import can go through one that is written further down.
    aliases.visit_file(&file);
    aliases.imported.clear();
    aliases.visit_file(&file);
    let mut paths = Paths { module: rooted(module), names: &aliases.names, found: aliases.imported };
    paths.visit_file(&file);
    Ok(paths.found)
}

fn rooted(module: &[String]) -> Vec<String> {
    std::iter::once("crate".to_owned()).chain(module.iter().cloned()).collect()
}

/// The path as seen from the root, if it is written with `crate`, `self` or `super`.
fn absolute(module: &[String], path: &[String]) -> FullPath {
    let mut base: Vec<String> = match path[0].as_str() {
        "crate" => return path.to_vec(),
        "self" | "super" => module.to_vec(),
        _ => return path.to_vec(),
    };
    let ups = path.iter().take_while(|part| *part == "super" || *part == "self").count();
    for part in &path[..ups] {
        if part == "super" {
            base.pop();
        }
    }
    base.extend_from_slice(&path[ups..]);
    base
}

fn only_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.path().is_ident("cfg").then(|| attribute.parse_args::<syn::Meta>().ok()).flatten();
        let all_with_test = |list: &syn::MetaList| {
            let first = list.tokens.clone().into_iter().next().map(|token| token.to_string());
            list.path.is_ident("all") && first.as_deref() == Some("test")
        };
        condition.is_some_and(|meta| meta.path().is_ident("test") || meta.require_list().is_ok_and(all_with_test))
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "syn's enums can grow; items of other kinds are never left out")]
fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        _ => &[],
    }
}

/// The first pass: what `use` and `mod` bring in, and under which name.
struct Aliases {
    module: Vec<String>,
    names: HashMap<String, FullPath>,
    imported: Vec<FullPath>,
}

impl Aliases {
    fn tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let joined = |last: &syn::Ident| [prefix, &[last.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&joined(&path.ident), &path.tree),
            syn::UseTree::Name(name) if name.ident == "self" => self.import(prefix, prefix.last().cloned()),
            syn::UseTree::Name(name) => self.import(&joined(&name.ident), Some(name.ident.to_string())),
            syn::UseTree::Rename(rename) if rename.ident == "self" => {
                self.import(prefix, Some(rename.rename.to_string()))
            }
            syn::UseTree::Rename(rename) => self.import(&joined(&rename.ident), Some(rename.rename.to_string())),
            syn::UseTree::Glob(_) => self.import(&[prefix, &["*".to_owned()]].concat(), None),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(prefix, tree)),
        }
    }

    fn import(&mut self, path: &[String], name: Option<String>) {
        let Some(first) = path.first() else { return };
        // `use std::time;` and then `use time::Instant;`: the second goes through the first.
        let known = self.names.get(first).filter(|known| known[0] != *first);
        let full = known.map_or_else(|| path.to_vec(), |known| [known, &path[1..]].concat());
        let full = absolute(&self.module, &full);
        if let Some(name) = name {
            self.names.insert(name, full.clone());
        }
        self.imported.push(full);
    }
}

impl<'ast> Visit<'ast> for Aliases {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !only_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        self.module.push(name.clone());
        self.names.insert(name, self.module.clone());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let name = item.rename.as_ref().map_or_else(|| item.ident.to_string(), |(_, name)| name.to_string());
        self.import(&[item.ident.to_string()], Some(name));
    }
}

/// The second pass: every other path.
struct Paths<'a> {
    module: Vec<String>,
    names: &'a HashMap<String, FullPath>,
    found: Vec<FullPath>,
}

impl Paths<'_> {
    fn found(&mut self, path: &[String], leading_colon: bool) {
        let Some(first) = path.first() else { return };
        let known = self.names.get(first).filter(|_| !leading_colon);
        if known.is_none() && path.len() == 1 {
            // A variable or a function here that happens to have a crate's name.
            return;
        }
        let full = known.map_or_else(|| path.to_vec(), |known| [known, &path[1..]].concat());
        self.found.push(if leading_colon { full } else { absolute(&self.module, &full) });
    }

    /// Runs of `a::b::c` among the tokens of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut leading) = (0, false);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 => path.push(ident.to_string()),
                TokenTree::Ident(ident) => {
                    self.found(&std::mem::take(&mut path), leading);
                    path.push(ident.to_string());
                    leading = false;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    leading |= colons == 2 && path.is_empty();
                    continue;
                }
                TokenTree::Group(group) => {
                    self.found(&std::mem::take(&mut path), leading);
                    leading = false;
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.found(&std::mem::take(&mut path), leading);
                    leading = false;
                }
            }
            colons = 0;
        }
        self.found(&path, leading);
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !only_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, _: &'ast syn::ItemUse) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.found(&parts, path.leading_colon.is_some());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(list.tokens.clone());
        visit::visit_meta_list(self, list);
    }
}
