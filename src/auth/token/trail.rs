//! What was looked at on the way to a decision, for those who want to know why.

/// Notes, taken only where somebody will read them.
#[derive(Debug, Default)]
pub(super) struct Trail {
    notes: Option<Vec<Note>>,
}

/// One thing that was looked at: a word for it, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub about: &'static str,
    pub text: String,
}

impl Trail {
    /// Nobody asks why.
    pub(super) fn silent() -> Self {
        Trail { notes: None }
    }

    /// Everything is noted.
    pub(super) fn told() -> Self {
        Trail {
            notes: Some(Vec::new()),
        }
    }

    /// Notes something, if anybody will read it.
    pub(super) fn note(&mut self, about: &'static str, text: impl FnOnce() -> String) {
        if let Some(notes) = &mut self.notes {
            let text = text();
            notes.push(Note { about, text });
        }
    }

    /// All that was found before is looked at once more.
    pub(super) fn again(&mut self) {
        if let Some(notes) = &mut self.notes {
            notes.clear();
        }
    }

    /// All of it.
    pub(super) fn into_notes(self) -> Vec<Note> {
        self.notes.unwrap_or_default()
    }
}
