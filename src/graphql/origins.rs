//! Where the values of a root field's arguments were written.

use std::convert::Infallible;

use async_graphql::Value;
use async_graphql::parser::types::Field;

use super::scalars::Origin;

/// Whether values of the root field's `input` were written in the document or in the variables:
/// some messages of the original differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origins {
    pub amount: Origin,
    pub currency: Origin,
}

impl Origins {
    /// Where the arguments of a field were written.
    pub(super) fn of(field: &Field) -> Self {
        // Every variable becomes a value that no document can hold.
        let variable = || Value::Binary(Default::default());
        let input = field.get_argument("input").map(|input| input.node.clone());
        let input = input.map(|input| input.into_const_with(|_| Ok::<_, Infallible>(variable())));
        let origin = |key: &str| match &input {
            Some(Ok(Value::Object(fields))) if fields.get(key) != Some(&variable()) => {
                Origin::Literal
            }
            _ => Origin::Variable,
        };
        Origins {
            amount: origin("amount"),
            currency: origin("currency"),
        }
    }
}
