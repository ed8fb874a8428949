import KernelStructures

/// How the prompt and the journal write the time since the lab began: `+00:15`, from an hour on `+1:00:15`, and with
/// milliseconds `+00:15.012`.
public func elapsedClock(_ elapsed: LabDuration, hasMilliseconds: Bool = false) -> String {
    let milliseconds = max(0, Int(elapsed.nanoseconds / 1_000_000))
    let seconds = milliseconds / 1000
    let tail =
        "\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
        + (hasMilliseconds ? "." + padded(milliseconds % 1000, 3) : "")
    return "+" + (seconds >= 3600 ? "\(seconds / 3600):\(tail)" : tail)
}
