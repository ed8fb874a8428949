import KernelStructures

// Where a message's body ends, and whether the connection goes on: RFC 9112 §6.3 and §9.3.

extension HTTPHead {
    /// What the fields say about framing and connection, collected in one pass.
    private struct Findings {
        var hostCount = 0
        var length: Int?
        var codings: [ArraySlice<UInt8>] = []
        var closes = false
        var keepsAlive = false
        var upgrades = false
        var hasUpgradeField = false
        var offersHTTP2 = false
        var namesFields = false
        var expectation: Field?
    }

    private func collect(fault: Int, asCurl: Bool = false) throws(HTTPError) -> Findings {
        var findings = Findings()
        for field in fields {
            switch field.name {
            case .host:
                findings.hostCount += 1
                // RFC 9112 §3.2: also one with an invalid value is answered with 400.
                if !isResponse, hostLength(field.valueRange.range) == nil {
                    throw HTTPError(fault, "Host is neither a name nor an address")
                }
            case .contentLength where asCurl: findings.length = try looseLength(of: field)
            case .contentLength:
                let length = try length(of: field, fault: fault)
                // RFC 9112 §6.3: a server that says the same twice is believed. Of a client nothing is forgiven.
                guard findings.length == nil || isResponse && findings.length == length else {
                    throw HTTPError(fault, "more than one Content-Length")
                }
                findings.length = length
            case .transferEncoding:
                findings.codings += valueBytes(of: field).split(
                    separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            case .connection:
                for token in valueBytes(of: field).split(separator: UInt8(ascii: ",")) {
                    let option = token.trimmingBlanks
                    if isOption(option, "close") {
                        findings.closes = true
                    } else if isOption(option, "keep-alive") {
                        findings.keepsAlive = true
                    } else if isOption(option, "upgrade") {
                        findings.upgrades = true
                    } else {
                        findings.namesFields = true
                    }
                }
            case .upgrade:
                findings.hasUpgradeField = true
                if listContains(.upgrade, "h2c") { findings.offersHTTP2 = true }
            case .expect: findings.expectation = field
            default: break
            }
        }
        return findings
    }

    private func isOption(_ bytes: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
        guard bytes.count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { expected in bytes.elementsEqual(expected) { lowered($0) == $1 } }
    }

    /// Digits and nothing else: no sign, nothing beyond `Int`, and a list only in a response, of one and the same
    /// number.
    private func length(of field: Field, fault: Int) throws(HTTPError) -> Int {
        let value = valueBytes(of: field)
        guard isResponse, value.contains(UInt8(ascii: ",")) else { return try length(value, fault: fault) }
        var found: Int?
        for element in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            let length = try length(element.trimmingBlanks, fault: fault)
            guard found == nil || found == length else { throw HTTPError(fault, "more than one Content-Length") }
            found = length
        }
        return found ?? 0
    }

    /// The number that a length begins with, as curl has it; nil, which is as if there were none, for one that is
    /// beyond `Int`.
    private func looseLength(of field: Field) throws(HTTPError) -> Int? {
        let digits = valueBytes(of: field).prefix { $0 >= 48 && $0 <= 57 }
        guard !digits.isEmpty else { throw HTTPError(502, "Content-Length is not a number") }
        return try? length(digits, fault: 502)
    }

    private func length(_ digits: ArraySlice<UInt8>, fault: Int) throws(HTTPError) -> Int {
        var value = 0
        guard !digits.isEmpty else { throw HTTPError(fault, "an empty Content-Length") }
        for byte in digits {
            guard byte >= 48, byte <= 57 else { throw HTTPError(fault, "Content-Length is not a number") }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(byte - 48))
            guard !overflow, !carry else { throw HTTPError(fault, "Content-Length is out of range") }
            value = sum
        }
        return value
    }

    /// The one transfer coding that is spoken here is `chunked`, once.
    private func checkCodings(_ codings: [ArraySlice<UInt8>], fault: Int) throws(HTTPError) {
        let areChunked = codings.map { isOption($0.trimmingBlanks, "chunked") }
        if areChunked == [true] { return }
        if areChunked.contains(true) { throw HTTPError(fault, "Transfer-Encoding is more than chunked") }
        throw HTTPError(fault == 400 ? 501 : fault, "an unknown Transfer-Encoding")
    }

    mutating func judgeRequest(_ limits: HTTPLimits) throws(HTTPError) {
        let findings = try collect(fault: 400)
        if findings.hostCount > 1 { throw HTTPError(400, "more than one Host") }
        if findings.hostCount == 0, minorVersion == 1 { throw HTTPError(400, "HTTP/1.1 requires a Host field") }
        if !findings.codings.isEmpty {
            if findings.length != nil { throw HTTPError(400, "both Content-Length and Transfer-Encoding") }
            if minorVersion == 0 { throw HTTPError(400, "Transfer-Encoding in HTTP/1.0") }
            try checkCodings(findings.codings, fault: 400)
            body = .chunked
        } else if let length = findings.length {
            if length > limits.bodyBytes { throw HTTPError(413, "the body is larger than \(limits.bodyBytes) bytes") }
            body = .length(length)
        }
        if let expectation = findings.expectation, minorVersion == 1 {
            guard isOption(valueBytes(of: expectation), "100-continue") else {
                throw HTTPError(417, "an unknown expectation")
            }
            expectsContinue = body != .none && body != .length(0)
        }
        keepsAlive = minorVersion == 1 ? !findings.closes : findings.keepsAlive && !findings.closes
        // What a client sends behind a CONNECT belongs into the tunnel; were that refused, it would look like requests.
        if method == .connect { keepsAlive = false }
        // RFC 9113 §3.1 has taken `h2c` back. Behind a proxy it was a tunnel past everything that the proxy checks.
        asksForUpgrade = findings.upgrades && findings.hasUpgradeField && !findings.offersHTTP2 && minorVersion == 1
        namesFields = findings.namesFields
    }

    mutating func judgeResponse(to method: HTTPMethod, asCurl: Bool = false) throws(HTTPError) {
        let findings = try collect(fault: 502, asCurl: asCurl)
        keepsAlive = minorVersion == 1 ? !findings.closes : findings.keepsAlive && !findings.closes
        asksForUpgrade = findings.upgrades && findings.hasUpgradeField
        namesFields = findings.namesFields
        statedLength = findings.length
        if !findings.codings.isEmpty {
            try checkCodings(findings.codings, fault: 502)
            // RFC 9112 §6.3: the coding goes before a length, which is not passed on either. And §6.1: HTTP/1.0 knows
            // no codings. In both cases whoever passed this on may have understood another framing.
            statedLength = nil
            if findings.length != nil || minorVersion == 0 { keepsAlive = false }
        }
        if method == .head || status < 200 || status == 204 || status == 304
            || (method == .connect && (200..<300).contains(status))
        {
            body = .none
        } else if !findings.codings.isEmpty {
            body = .chunked
        } else if let length = findings.length {
            body = .length(length)
        } else {
            body = .untilClose
            keepsAlive = false
        }
    }
}
