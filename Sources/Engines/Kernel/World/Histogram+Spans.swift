import KernelStructures
import KernelTelemetry

extension Histogram {
    /// Adds how long something took, in seconds. What was done within a span that is kept becomes the example of its
    /// bucket: the one place where numbers are tied to traces.
    public func observe(_ duration: LabDuration, within span: ActiveSpan?) {
        guard let span, span.context.isSampled else { return observe(duration) }
        observe(duration.seconds, in: span.context.traceID, at: span.node.wallClock)
    }
}

extension ExponentialHistogram {
    /// As the other histogram's; the example stands beside a classic bucket, if there are such.
    public func observe(_ duration: LabDuration, within span: ActiveSpan?) {
        guard let span, span.context.isSampled else { return observe(duration) }
        observe(duration.seconds, in: span.context.traceID, at: span.node.wallClock)
    }
}
