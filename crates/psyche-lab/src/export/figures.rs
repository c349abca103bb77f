//! What the reports show of a session as a whole, counted while the log is read, and drawn as plain shapes.

use std::collections::BTreeMap;

use psyche_core::event::{EmergencyAction, Event, Payload};
use psyche_core::measure::GaugeName;
use psyche_core::session::USER;

/// Points of a curve at most: where there are more, neighbours are averaged.
const POINTS: usize = 500;
/// Openings of emergency paths that are marked.
const MARKS: usize = 200;

/// A curve that stays short however many values it is given.
#[derive(Debug)]
struct Curve {
    /// Sum and number of values, a point for every `stride` utterances.
    points: Vec<(f64, u32)>,
    stride: u64,
}

impl Default for Curve {
    fn default() -> Self {
        Self { points: Vec::new(), stride: 1 }
    }
}

impl Curve {
    fn push(&mut self, at: u64, value: Option<f64>) {
        while usize::try_from(at / self.stride).unwrap_or(usize::MAX) >= POINTS {
            self.stride *= 2;
            self.points =
                self.points.chunks(2).map(|pair| pair.iter().fold((0.0, 0), |a, b| (a.0 + b.0, a.1 + b.1))).collect();
        }
        let place = usize::try_from(at / self.stride).unwrap_or(usize::MAX);
        self.points.resize(self.points.len().max(place + 1), (0.0, 0));
        if let Some(value) = value {
            self.points[place].0 += value;
            self.points[place].1 += 1;
        }
    }

    /// Means by utterance; gaps where nothing could be measured.
    fn means(&self) -> impl Iterator<Item = (f64, Option<f64>)> {
        let stride = self.stride as f64;
        self.points
            .iter()
            .enumerate()
            .map(move |(i, (sum, n))| ((i as f64 + 0.5) * stride, (*n > 0).then(|| sum / f64::from(*n))))
    }
}

/// Counts over a log.
#[derive(Debug, Default)]
pub struct Figures {
    pub utterances: u64,
    /// Utterances and words by speaker.
    pub shares: BTreeMap<String, (u64, u64)>,
    /// Utterances from one to another.
    pub matrix: BTreeMap<(String, String), u64>,
    gauges: BTreeMap<GaugeName, Curve>,
    emergencies: Vec<u64>,
}

impl Figures {
    pub fn read(&mut self, event: &Event) {
        match &event.payload {
            Payload::AgentMessage(message) => {
                self.utterances += 1;
                let speaker = message.agent_id.as_str();
                let share = self.shares.entry(speaker.to_owned()).or_default();
                share.0 += 1;
                share.1 += message.content.as_str().split_whitespace().count() as u64;
                for to in message.recipients.iter().filter(|_| speaker != USER) {
                    *self.matrix.entry((speaker.to_owned(), to.as_str().to_owned())).or_default() += 1;
                }
            }
            Payload::HealthUpdate(update) => {
                for (name, gauge) in &update.gauges {
                    let at = self.utterances.saturating_sub(1);
                    self.gauges.entry(*name).or_default().push(at, gauge.standardised);
                }
            }
            Payload::Emergency(emergency)
                if emergency.action == EmergencyAction::Opened && self.emergencies.len() < MARKS =>
            {
                self.emergencies.push(self.utterances);
            }
            _ => {}
        }
    }

    /// All figures, with the names and colours of agents.
    pub fn draw(&self, name: &dyn Fn(&str) -> String, colour: &dyn Fn(&str) -> String) -> Vec<Figure> {
        let mut figures: Vec<Figure> = GaugeName::ALL.iter().map(|gauge| self.gauge(*gauge)).collect();
        figures.push(self.shares(name, colour));
        figures.push(self.who_to_whom(name));
        figures
    }

    fn gauge(&self, name: GaugeName) -> Figure {
        let (width, height, left, bottom) = (330.0, 130.0, 28.0, 20.0);
        let (across, up) = (width - left - 8.0, height - bottom - 8.0);
        let last = self.utterances.max(1) as f64;
        let x = |at: f64| left + across * (at / last).min(1.0);
        let y = |value: f64| 8.0 + up * (1.0 - value);
        let mut shapes = Vec::new();
        for level in [0.0, 0.4, 0.7, 1.0] {
            shapes.push(Shape::line(vec![(left, y(level)), (width - 8.0, y(level))], "#c8ccd6", 0.6));
            shapes.push(Shape::text((left - 4.0, y(level) + 3.0), format!("{level}"), Anchor::End));
        }
        for at in &self.emergencies {
            let x = x(*at as f64);
            shapes.push(Shape::line(vec![(x, y(0.0)), (x, y(1.0))], "#b3261e", 0.6));
        }
        let mut run = Vec::new();
        let means = self.gauges.get(&name).into_iter().flat_map(Curve::means);
        for (at, mean) in means.chain([(last, None)]) {
            match mean {
                Some(mean) => run.push((x(at), y(mean))),
                None if run.is_empty() => {}
                None => shapes.push(Shape::line(std::mem::take(&mut run), "#2d5aa8", 1.2)),
            }
        }
        shapes.push(Shape::text((left, height - 6.0), "1".to_owned(), Anchor::Start));
        shapes.push(Shape::text((width - 8.0, height - 6.0), format!("utterance {}", self.utterances), Anchor::End));
        let title = format!("{}, standardised", name.as_str().replace('_', " "));
        Figure { title, width, height, shapes }
    }

    fn shares(&self, name: &dyn Fn(&str) -> String, colour: &dyn Fn(&str) -> String) -> Figure {
        let (width, left, row) = (680.0, 150.0, 22.0);
        let words: u64 = self.shares.values().map(|(_, words)| words).sum();
        let mut shapes = Vec::new();
        for (i, (speaker, (utterances, spoken))) in self.shares.iter().enumerate() {
            let y = 4.0 + row * i as f64;
            let share = *spoken as f64 / words.max(1) as f64;
            shapes.push(Shape::text((left - 8.0, y + 12.0), name(speaker), Anchor::End));
            shapes.push(Shape::Rect { at: (left, y), size: (340.0 * share, row - 6.0), colour: colour(speaker) });
            let told = format!("{:.1} % of words, {utterances} utterances", share * 100.0);
            shapes.push(Shape::text((left + 340.0 * share + 6.0, y + 12.0), told, Anchor::Start));
        }
        Figure { title: "Who speaks".to_owned(), width, height: 8.0 + row * self.shares.len() as f64, shapes }
    }

    fn who_to_whom(&self, name: &dyn Fn(&str) -> String) -> Figure {
        let mut agents: Vec<&str> = self.matrix.keys().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
        agents.sort_unstable();
        agents.dedup();
        let (left, top) = (150.0, 22.0);
        let (cell, row) = ((530.0 / agents.len().max(1) as f64).min(100.0), 22.0);
        let most = self.matrix.values().copied().max().unwrap_or(1).max(1) as f64;
        let mut shapes = Vec::new();
        for (i, from) in agents.iter().enumerate() {
            let y = top + row * i as f64;
            shapes.push(Shape::text((left - 8.0, y + 14.0), name(from), Anchor::End));
            shapes.push(Shape::text((left + cell * (i as f64 + 0.5), 14.0), name(from), Anchor::Middle));
            for (j, to) in agents.iter().enumerate() {
                let count = self.matrix.get(&((*from).to_owned(), (*to).to_owned())).copied().unwrap_or(0);
                let at = (left + cell * j as f64, y);
                shapes.push(Shape::Rect { at, size: (cell - 2.0, row - 2.0), colour: shade(count as f64 / most) });
                let middle = (left + cell * (j as f64 + 0.5), y + 14.0);
                shapes.push(Shape::text(middle, count.to_string(), Anchor::Middle));
            }
        }
        let title = "Utterances from (rows) to (columns)".to_owned();
        Figure { title, width: 680.0, height: top + row * agents.len() as f64, shapes }
    }
}

/// White to a blue on which black can be read.
fn shade(part: f64) -> String {
    let channel = |full: f64| (255.0 - (255.0 - full) * part).round() as u8;
    format!("#{:02x}{:02x}{:02x}", channel(153.0), channel(183.0), channel(238.0))
}

/// A figure in its own coordinates, from its upper left corner.
#[derive(Debug)]
pub struct Figure {
    pub title: String,
    pub width: f64,
    pub height: f64,
    pub shapes: Vec<Shape>,
}

#[derive(Debug)]
pub enum Shape {
    Line { points: Vec<(f64, f64)>, colour: String, width: f64 },
    Rect { at: (f64, f64), size: (f64, f64), colour: String },
    Text { at: (f64, f64), text: String, anchor: Anchor },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Shape {
    fn line(points: Vec<(f64, f64)>, colour: &str, width: f64) -> Self {
        Self::Line { points, colour: colour.to_owned(), width }
    }

    fn text(at: (f64, f64), text: String, anchor: Anchor) -> Self {
        Self::Text { at, text, anchor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_stays_short_and_keeps_its_mean() {
        let mut curve = Curve::default();
        for at in 0..10_000 {
            curve.push(at, (at % 10 != 0).then_some(0.25));
        }
        assert!(curve.points.len() <= POINTS && curve.points.len() > POINTS / 4);
        assert!(curve.means().all(|(_, mean)| mean.is_none_or(|mean| (mean - 0.25).abs() < 1e-12)));
        assert_eq!(curve.points.iter().map(|(_, n)| n).sum::<u32>(), 9_000);
    }
}
