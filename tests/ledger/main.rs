//! The ledger, as the specification has it (section 7): each rule by example, and the laws that hold for whatever may happen.

#[cfg(test)]
mod absence;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod truth;
