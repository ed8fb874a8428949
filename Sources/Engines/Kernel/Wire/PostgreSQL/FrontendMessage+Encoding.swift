extension FrontendMessage {
    /// Appends the message as it travels.
    public func encode(into bytes: inout [UInt8]) {
        let start = bytes.count
        if let letter { bytes.append(letter) }
        bytes.append(bigEndian: Int32(0))
        encodeBody(into: &bytes)
        bytes.setLength(from: start + (letter == nil ? 0 : 1))
    }

    public var encoded: [UInt8] {
        var bytes: [UInt8] = []
        encode(into: &bytes)
        return bytes
    }

    private var letter: UInt8? {
        switch self {
        case .startup, .sslRequest, .gssEncryptionRequest, .cancelRequest: nil
        case .password: UInt8(ascii: "p")
        case .query: UInt8(ascii: "Q")
        case .parse: UInt8(ascii: "P")
        case .bind: UInt8(ascii: "B")
        case .describe: UInt8(ascii: "D")
        case .execute: UInt8(ascii: "E")
        case .close: UInt8(ascii: "C")
        case .flush: UInt8(ascii: "H")
        case .sync: UInt8(ascii: "S")
        case .copyData: UInt8(ascii: "d")
        case .copyDone: UInt8(ascii: "c")
        case .copyFail: UInt8(ascii: "f")
        case .functionCall: UInt8(ascii: "F")
        case .terminate: UInt8(ascii: "X")
        }
    }

    private func encodeBody(into bytes: inout [UInt8]) {
        switch self {
        case .startup(let startup):
            bytes.append(bigEndian: startup.version)
            for parameter in startup.parameters {
                bytes.append(cString: parameter.name)
                bytes.append(cString: parameter.value)
            }
            bytes.append(0)
        case .sslRequest: bytes.append(bigEndian: UInt32(1234 << 16 | 5679))
        case .gssEncryptionRequest: bytes.append(bigEndian: UInt32(1234 << 16 | 5680))
        case .cancelRequest(let key):
            bytes.append(bigEndian: UInt32(1234 << 16 | 5678))
            bytes.append(bigEndian: key.process)
            bytes.append(bigEndian: key.secret)
        case .password(let body), .copyData(let body): bytes.append(contentsOf: body)
        case .query(let text), .copyFail(let text): bytes.append(cString: text)
        case .parse(let statement, let query, let types):
            bytes.append(cString: statement)
            bytes.append(cString: query)
            bytes.append(bigEndian: UInt16(clamping: types.count))
            for type in types.prefix(Int(UInt16.max)) { bytes.append(bigEndian: type.rawValue) }
        case .bind(let bind): bind.encode(into: &bytes)
        case .describe(let target), .close(let target):
            switch target {
            case .statement(let name):
                bytes.append(UInt8(ascii: "S"))
                bytes.append(cString: name)
            case .portal(let name):
                bytes.append(UInt8(ascii: "P"))
                bytes.append(cString: name)
            }
        case .execute(let portal, let rowLimit):
            bytes.append(cString: portal)
            bytes.append(bigEndian: rowLimit)
        case .flush, .sync, .copyDone, .functionCall, .terminate: break
        }
    }
}

extension PostgresBind {
    fileprivate func encode(into bytes: inout [UInt8]) {
        bytes.append(cString: portal)
        bytes.append(cString: statement)
        bytes.append(formats: parameterFormats)
        bytes.append(bigEndian: UInt16(clamping: parameters.count))
        for value in parameters.prefix(Int(UInt16.max)) { bytes.append(value: value) }
        bytes.append(formats: resultFormats)
    }
}

extension Array where Element == UInt8 {
    mutating func append(formats: [PostgresFormat]) {
        append(bigEndian: UInt16(clamping: formats.count))
        for format in formats.prefix(Int(UInt16.max)) { append(bigEndian: format.rawValue) }
    }

    /// Writes the length of what has been appended since `start` into the four bytes there.
    mutating func setLength(from start: Int) {
        let count = UInt32(clamping: count - start)
        self[start] = UInt8(truncatingIfNeeded: count >> 24)
        self[start + 1] = UInt8(truncatingIfNeeded: count >> 16)
        self[start + 2] = UInt8(truncatingIfNeeded: count >> 8)
        self[start + 3] = UInt8(truncatingIfNeeded: count)
    }
}
