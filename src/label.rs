//! Defines enumerations whose variants are the values of a metric label, or another closed set of words, each spelled once.

/// A closed set of label values.
pub trait LabelValue: Copy + 'static {
    /// Every value, in the order of declaration, which is also that of `Ord`.
    const ALL: &'static [Self];

    /// The value as it stands in a label.
    fn as_str(self) -> &'static str;

    /// The value that is spelled like this; `None` if none is.
    fn spelled(text: impl AsRef<[u8]>) -> Option<Self> {
        let is_spelled = |value: &Self| value.as_str().as_bytes() == text.as_ref();
        Self::ALL.iter().copied().find(is_spelled)
    }
}

/// Defines an enumeration with the label value of each variant.
macro_rules! label_values {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $crate::label::LabelValue for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

pub(crate) use label_values;
