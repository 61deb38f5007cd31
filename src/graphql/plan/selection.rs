//! What a document selects, seen from one object type (GraphQL, section 6.3.2).

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    Directive, Field, FragmentDefinition, Selection, SelectionSet, TypeKind, TypeSystemDefinition,
};
use async_graphql::{InputType, Name, Positioned, Value, Variables};

use crate::graphql::origins::Origins;
use crate::graphql::variables::InputTypes;

/// Why there is no plan: the general executor answers.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::graphql) struct NotPlanned;

/// A valid document, with what its names mean.
pub(in crate::graphql) struct Document<'a> {
    pub fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    pub variables: &'a Variables,
    pub interfaces: &'a Interfaces,
    pub input_types: &'a InputTypes,
}

/// The interfaces that each object type implements.
pub(in crate::graphql) struct Interfaces(HashMap<String, HashSet<String>>);

impl Interfaces {
    /// Reads them from a schema's SDL.
    pub(in crate::graphql) fn of_sdl(sdl: &str) -> Self {
        let document = async_graphql::parser::parse_schema(sdl).expect("the schema prints SDL");
        let types = document.definitions.into_iter().filter_map(|definition| {
            let TypeSystemDefinition::Type(definition) = definition else {
                return None;
            };
            let TypeKind::Object(object) = definition.node.kind else {
                return None;
            };
            let interfaces = object.implements.iter().map(|name| name.node.to_string());
            Some((definition.node.name.node.to_string(), interfaces.collect()))
        });
        Interfaces(types.collect())
    }

    fn implements(&self, object: &str, interface: &str) -> bool {
        self.0
            .get(object)
            .is_some_and(|interfaces| interfaces.contains(interface))
    }
}

/// A field that is asked, with all that is selected below it.
pub(in crate::graphql) struct Asked<'a> {
    document: &'a Document<'a>,
    field: &'a Field,
    /// One for each time that it is selected.
    below: Vec<&'a SelectionSet>,
}

impl<'a> Document<'a> {
    /// A field that is selected alone.
    pub(super) fn asked(&'a self, field: &'a Field) -> Result<Asked<'a>, NotPlanned> {
        if self.is_skipped(&field.directives)? {
            return Err(NotPlanned);
        }
        Ok(Asked {
            document: self,
            field,
            below: vec![&field.selection_set.node],
        })
    }

    fn collect(
        &'a self,
        declared: &str,
        object: &str,
        selections: &'a SelectionSet,
        asked: &mut Vec<Asked<'a>>,
    ) -> Result<(), NotPlanned> {
        for selection in &selections.items {
            if self.is_skipped(selection.node.directives())? {
                continue;
            }
            let (condition, inside) = match &selection.node {
                Selection::Field(field) => {
                    self.add(&field.node, asked)?;
                    continue;
                }
                Selection::InlineFragment(fragment) => {
                    let fragment = &fragment.node;
                    (fragment.type_condition.as_ref(), &fragment.selection_set)
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = &self.fragments.get(name).ok_or(NotPlanned)?.node;
                    (Some(&fragment.type_condition), &fragment.selection_set)
                }
            };
            let condition = condition.map(|condition| condition.node.on.node.as_str());
            // As in the general executor: inside of a fragment on the object itself the union that the
            // field declares is forgotten, so that another fragment on it does not apply there.
            match condition {
                Some(condition)
                    if condition == object || self.interfaces.implements(object, condition) =>
                {
                    self.collect(object, object, &inside.node, asked)?;
                }
                Some(condition) if condition != declared => {}
                _ => self.collect(declared, object, &inside.node, asked)?,
            }
        }
        Ok(())
    }

    /// Two selections of one response name are one field with both their selections.
    fn add(&'a self, field: &'a Field, asked: &mut Vec<Asked<'a>>) -> Result<(), NotPlanned> {
        let key = &field.response_key().node;
        let same = asked.iter_mut().find(|other| other.key() == key.as_str());
        match same {
            None => asked.push(self.asked(field)?),
            Some(other)
                if other.field.name.node == field.name.node
                    && other.field.arguments == field.arguments =>
            {
                other.below.push(&field.selection_set.node);
            }
            // Validation misses some of these; what they mean is not ours to say.
            Some(_) => return Err(NotPlanned),
        }
        Ok(())
    }

    fn is_skipped(&self, directives: &[Positioned<Directive>]) -> Result<bool, NotPlanned> {
        let mut skipped = false;
        for directive in directives {
            let wanted = match directive.node.name.node.as_str() {
                "skip" => false,
                "include" => true,
                _ => return Err(NotPlanned),
            };
            let condition = directive.node.get_argument("if").ok_or(NotPlanned)?;
            let condition = condition.node.clone();
            match condition.into_const_with(|name| self.variable(&name))? {
                Value::Boolean(condition) => skipped |= condition != wanted,
                _ => return Err(NotPlanned),
            }
        }
        Ok(skipped)
    }

    fn variable(&self, name: &Name) -> Result<Value, NotPlanned> {
        self.variables.get(name).cloned().ok_or(NotPlanned)
    }
}

impl<'a> Asked<'a> {
    /// The name of the field.
    pub(in crate::graphql) fn name(&self) -> &'a str {
        self.field.name.node.as_str()
    }

    /// Its name in the result.
    pub(in crate::graphql) fn key(&self) -> &'a str {
        self.field.response_key().node.as_str()
    }

    /// Where the values of its arguments were written.
    pub(super) fn origins(&self) -> Origins {
        Origins::of(self.field)
    }

    /// The value of an argument that must be there, exactly as its type has it.
    pub(in crate::graphql) fn argument<T: InputType>(&self, name: &str) -> Result<T, NotPlanned> {
        let value = self.field.get_argument(name).ok_or(NotPlanned)?;
        let value = value.node.clone();
        let value = value.into_const_with(|name| self.document.variable(&name))?;
        let input_types = self.document.input_types;
        if !input_types.accept(&T::qualified_type_name(), &value) {
            return Err(NotPlanned);
        }
        T::parse(Some(value)).map_err(|_| NotPlanned)
    }

    /// The fields that are asked of an object, where its field declares this type.
    pub(super) fn below(&self, declared: &str, object: &str) -> Result<Vec<Asked<'a>>, NotPlanned> {
        let mut asked = Vec::new();
        for selections in &self.below {
            self.document
                .collect(declared, object, selections, &mut asked)?;
        }
        Ok(asked)
    }
}
