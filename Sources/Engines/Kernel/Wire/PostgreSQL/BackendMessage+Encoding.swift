extension BackendMessage {
    public var encoded: [UInt8] {
        var writer = BackendMessageWriter()
        writer.write(self)
        return writer.take()
    }
}

extension BackendMessageWriter {
    public mutating func write(_ message: BackendMessage) {
        switch message {
        case .authentication(let authentication): write(authentication)
        case .parameterStatus(let name, let value):
            self.message("S") {
                $0.append(cString: name)
                $0.append(cString: value)
            }
        case .backendKeyData(let key):
            self.message("K") {
                $0.append(bigEndian: key.process)
                $0.append(bigEndian: key.secret)
            }
        case .readyForQuery(let status): readyForQuery(status)
        case .rowDescription(let columns): rowDescription(columns)
        case .dataRow(let row): self.message("D") { $0.append(contentsOf: row.bytes) }
        case .commandComplete(let tag): commandComplete(tag)
        case .emptyQueryResponse: emptyQueryResponse()
        case .errorResponse(let error): self.error(error)
        case .noticeResponse(let error): notice(error)
        case .parseComplete: parseComplete()
        case .bindComplete: bindComplete()
        case .closeComplete: closeComplete()
        case .portalSuspended: portalSuspended()
        case .noData: noData()
        default: writeRare(message)
        }
    }

    private mutating func writeRare(_ message: BackendMessage) {
        switch message {
        case .parameterDescription(let types):
            self.message("t") { bytes in
                bytes.append(bigEndian: UInt16(clamping: types.count))
                for type in types.prefix(Int(UInt16.max)) { bytes.append(bigEndian: type.rawValue) }
            }
        case .copyIn(let format, let columns): copy("G", format, columns)
        case .copyOut(let format, let columns): copy("H", format, columns)
        case .copyBoth(let format, let columns): copy("W", format, columns)
        case .copyData(let data): self.message("d") { $0.append(contentsOf: data) }
        case .copyDone: self.message("c") { _ in }
        case .notification(let process, let channel, let payload):
            self.message("A") {
                $0.append(bigEndian: process)
                $0.append(cString: channel)
                $0.append(cString: payload)
            }
        case .negotiateProtocolVersion(let minor, let unrecognized):
            self.message("v") { bytes in
                bytes.append(bigEndian: minor)
                bytes.append(bigEndian: UInt32(clamping: unrecognized.count))
                for name in unrecognized { bytes.append(cString: name) }
            }
        case .functionCallResponse(let value): self.message("V") { $0.append(value: value) }
        default: break
        }
    }

    private mutating func write(_ authentication: PostgresAuthentication) {
        message("R") { bytes in
            switch authentication {
            case .ok: bytes.append(bigEndian: Int32(0))
            case .cleartextPassword: bytes.append(bigEndian: Int32(3))
            case .md5Password(let salt):
                bytes.append(bigEndian: Int32(5))
                bytes.append(contentsOf: salt)
            case .sasl(let mechanisms):
                bytes.append(bigEndian: Int32(10))
                for mechanism in mechanisms { bytes.append(cString: mechanism) }
                bytes.append(0)
            case .saslContinue(let data):
                bytes.append(bigEndian: Int32(11))
                bytes.append(contentsOf: data)
            case .saslFinal(let data):
                bytes.append(bigEndian: Int32(12))
                bytes.append(contentsOf: data)
            case .unsupported(let code): bytes.append(bigEndian: code)
            }
        }
    }

    private mutating func copy(_ letter: Unicode.Scalar, _ format: PostgresFormat, _ columns: [PostgresFormat]) {
        message(letter) {
            $0.append(UInt8(truncatingIfNeeded: format.rawValue))
            $0.append(formats: columns)
        }
    }
}
