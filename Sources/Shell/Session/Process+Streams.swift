import KernelStructures

/// What a process reads, and files that are none: `/dev/stdin`, `/dev/fd/3`, `/dev/zero`.
extension Process {
    /// Where bytes come from.
    public enum InputStream {
        /// What it is given: a pipe, a file, or what is typed into its terminal.
        case given
        case other(any ByteSource)
    }

    /// What a name stands for that is no file; nil for files.
    public func stream(named name: String) -> InputStream? {
        if name == "-" { return .given }
        guard name.hasPrefix("/") else { return nil }
        if let device = DeviceSource(named: name, session: session) { return remembered(device) }
        guard let number = Descriptor.number(ofFile: name), !session.files.exists(name) else { return nil }
        return stream(number)
    }

    /// What a descriptor gives; nil where it gives nothing.
    func stream(_ number: Int) -> InputStream? {
        if number == 0 { return .given }
        guard let descriptor = descriptors[number] else { return nil }
        return descriptor.source.map(remembered) ?? (descriptor.readsTerminal ? .given : nil)
    }

    private func remembered(_ source: any ByteSource) -> InputStream {
        if !otherSources.contains(where: { $0 === source }) { otherSources.append(source) }
        return .other(source)
    }

    /// Where a name leads that is no file: `/dev/stderr`, `/dev/fd/3`; nil for files.
    public func sink(named name: String) -> (any ByteSink)? {
        switch Descriptor.number(ofFile: name) {
        case 1: output
        case 2: errorOutput
        case let number?: descriptors[number]?.sink
        case nil: nil
        }
    }

    public func read(
        _ stream: InputStream = .given, onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void
    ) {
        switch stream {
        case .other(let source): source.start(onBytes: onBytes, onEnd: onEnd)
        case .given:
            if let input {
                input.start(onBytes: onBytes, onEnd: onEnd)
            } else {
                terminal.read(for: self, onBytes: onBytes, onEnd: onEnd)
            }
        }
    }

    /// Stops reading, and puts back what was taken too much: whoever reads next finds it.
    public func unread(_ bytes: [UInt8], to stream: InputStream = .given) {
        switch stream {
        case .other(let source): source.unread(bytes)
        case .given: if let input { input.unread(bytes) } else { terminal.unread(bytes, by: self) }
        }
    }

    /// Leaves what is still to be read where it is, until `read` is called again.
    ///
    /// - Returns: whether that could be done. Typing goes on being heard.
    public func pauseReading(_ stream: InputStream = .given) -> Bool {
        switch stream {
        case .other(let source):
            source.pause()
            return true
        case .given:
            input?.pause()
            return input != nil
        }
    }
}
