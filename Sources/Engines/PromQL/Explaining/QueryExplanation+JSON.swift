import KernelJSON
import TimeSeriesEngine

extension QueryExplanation {
    /// For programs; times are milliseconds since 1970.
    public var json: JSONValue {
        .object([
            ("timeMilliseconds", .integer(Int(time))), ("query", root.json),
            (
                "read",
                .object([
                    ("series", .integer(statistics.seriesSelected)), ("samples", .integer(statistics.samplesRead)),
                    ("chunks", .integer(statistics.chunksRead)), ("bytes", .integer(statistics.bytesRead)),
                    ("cells", .integer(statistics.cells)),
                ])
            ), ("warnings", .array(warnings.map { .string($0) })),
        ])
    }
}

extension QueryExplanation.Part {
    var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("expression", .string(text)), ("kind", .string(kind.rawValue)),
        ]
        if let string { members.append(("value", .string(string))) }
        if kind == .scalar || kind == .vector {
            members += [
                ("elementCount", .integer(elementCount)),
                (
                    "elements",
                    .array(
                        elements.map { element in
                            .object([
                                ("labels", element.labels.json),
                                ("value", .string(element.histogram?.text ?? GoFormat.plain(element.value))),
                            ])
                        })
                ),
            ]
        }
        if windowCount > 0 {
            members += [
                ("windowCount", .integer(windowCount)), ("windows", .array(windows.map(\.json))),
            ]
        }
        if !parts.isEmpty { members.append(("parts", .array(parts.map(\.json)))) }
        return .object(members)
    }
}

extension QueryExplanation.Window {
    var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("labels", labels.json), ("fromMilliseconds", .integer(Int(from))),
            ("throughMilliseconds", .integer(Int(through))), ("sampleCount", .integer(sampleCount)),
            (
                "samples",
                .array(
                    samples.map { sample in
                        .array([
                            .integer(Int(sample.timestamp)),
                            .string(sample.histogram?.text ?? GoFormat.plain(sample.value)),
                        ])
                    })
            ),
        ]
        if !resets.isEmpty {
            members.append(
                (
                    "resets",
                    .array(
                        resets.map { reset in
                            .object([
                                ("atMilliseconds", .integer(Int(reset.timestamp))),
                                ("before", .number(reset.before)), ("after", .number(reset.after)),
                            ])
                        })
                ))
        }
        if let extrapolation {
            members.append(
                (
                    "extrapolation",
                    .object([
                        ("difference", .number(extrapolation.difference)),
                        ("correction", .number(extrapolation.correction)),
                        ("sampledSeconds", .number(extrapolation.sampledSeconds)),
                        ("startSeconds", .number(extrapolation.startSeconds)),
                        ("endSeconds", .number(extrapolation.endSeconds)), ("factor", .number(extrapolation.factor)),
                    ])
                ))
        }
        if let result { members.append(("result", .string(GoFormat.plain(result)))) }
        return .object(members)
    }
}

extension Labels {
    var json: JSONValue { .object(pairs.map { ($0.name, .string($0.value)) }) }
}
