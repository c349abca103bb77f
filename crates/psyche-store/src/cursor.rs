//! Cursors of lists that run newest first: the creation time and id of the last item shown.

use psyche_core::Timestamp;
use psyche_core::port::{Page, StoreError};
use uuid::Uuid;

/// The place of an item in a list.
pub type Place = (Timestamp, Uuid);

/// The place a client's cursor names.
pub fn parse(cursor: Option<&str>) -> Result<Option<Place>, StoreError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let place = cursor.split_once('.').and_then(|(at, id)| Some((Timestamp(at.parse().ok()?), id.parse().ok()?)));
    place.map(Some).ok_or(StoreError::NotFound("cursor"))
}

/// A page from one item more than it may show: the extra one tells that there is a next page.
pub fn page<T>(mut items: Vec<T>, limit: usize, place: impl Fn(&T) -> Place) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|item| {
        let (at, id) = place(item);
        format!("{}.{}", at.micros(), id.simple())
    });
    Page { items, next_cursor }
}
