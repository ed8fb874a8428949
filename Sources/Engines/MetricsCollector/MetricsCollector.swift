import KernelStructures
import TimeSeriesEngine

// # A metrics collector
//
// ## The problem
//
// Something is slow tonight. Which of forty services, since when, and for whom? Whoever begins to look now finds the
// present; the answer lies in the numbers of an hour ago, of all forty, next to one another. So somebody must have
// written them down all along, cheaply enough that nobody thinks about it, and must be able to add, divide and compare
// them afterwards in ways that nobody thought of before.
//
// ## An everyday picture
//
// A meter reader. Each house has meters that only turn (`KernelTelemetry` is those). The reader has a list of houses
// and a time for each; walks his round, copies what the meters say, and notes as well where nobody opened: that, too,
// is news. He does not wait for people to send him letters: a house that has burnt down sends none, and its silence
// would look like peace. At home he has a card for each meter, with one line a visit.
//
// ## How
//
// ```
// discovery ──▶ relabelling ──▶ targets ──▶ scrape loops ──▶ pages ──▶ samples ──▶ store ◀── queries, rules
// files, DNS, registry          one offset each              parsed in place       head, log, blocks
// ```
//
// *Pulling* makes the collector the one who knows what should be there; `up` is the first metric of all. *Labels*
// make one name many series, and queries choose among them: the model of Prometheus, whose formats, files and API these
// are. Rates, sums and quantiles are computed when they are asked for, from counters that survive a missed visit: a
// visit that is late loses resolution, never events.
//
// ## Where it is wrong
//
// Pulling cannot see what lives shorter than an interval. A label whose values are chosen by clients makes as many
// series as there are clients: limits say no, and `up` turns 0, which is meant to hurt. Quantiles of histograms are
// interpolated within a bucket: no better than its width.

/// What the collector has to say about its targets and series; kept here for those who show it.
public enum MetricsCollector {
    /// Where clients look if nobody told them: Prometheus's port.
    public static let defaultPort: UInt16 = 9090
}
