import KernelStructures

/// What one transfer came to, for `-w`.
struct CurlReport {
    var url = ""
    var effectiveURL = ""
    var method = ""
    var status = 0
    var minorVersion = 1
    var contentType = ""
    var redirectURL = ""
    var redirects = 0
    var connects = 0
    var headBytes = 0
    var bodyBytes = 0
    var uploadedBytes = 0
    var requestBytes = 0
    var exitCode = 0
    var errorText = ""
    var fileName = ""
    var local: Endpoint?
    var remote: Endpoint?
    var nameLookup = LabDuration.zero
    var connect = LabDuration.zero
    /// When the TLS handshake was over.
    var appConnect = LabDuration.zero
    /// OpenSSL's code; 0: the server's certificate was accepted, or there was none.
    var verifyResult = 0
    var scheme = "HTTP"
    var preTransfer = LabDuration.zero
    var startTransfer = LabDuration.zero
    var redirect = LabDuration.zero
    var total = LabDuration.zero
    /// Fields of the last response, names in lower case.
    var fields: [(name: String, value: String)] = []
}

/// `-w`: text with `%{variables}` and escapes.
enum CurlWriteOut {
    /// What to write to standard output and to standard error, and which variables are unknown.
    struct Text {
        var output = ""
        var error = ""
        var unknown: [String] = []
    }

    static func render(_ format: String, _ report: CurlReport) -> Text {
        var result = Text()
        var toError = false
        func write(_ text: String) { if toError { result.error += text } else { result.output += text } }
        var rest = format[...]
        while let character = rest.popFirst() {
            if character == "\\" {
                guard let next = rest.popFirst() else {
                    write("\\")
                    break
                }
                write(next == "n" ? "\n" : next == "t" ? "\t" : next == "r" ? "\r" : "\\\(next)")
            } else if character == "%", rest.first == "%" {
                rest.removeFirst()
                write("%")
            } else if character == "%", rest.hasPrefix("header{"), let close = rest.firstIndex(of: "}") {
                let name = rest[rest.index(rest.startIndex, offsetBy: 7)..<close].lowercased()
                write(report.fields.first { $0.name == name }?.value ?? "")
                rest = rest[rest.index(after: close)...]
            } else if character == "%", rest.first == "{", let close = rest.firstIndex(of: "}") {
                let name = String(rest[rest.index(after: rest.startIndex)..<close])
                rest = rest[rest.index(after: close)...]
                if name == "stderr" {
                    toError = true
                } else if name == "stdout" {
                    toError = false
                } else if let value = value(name, report) {
                    write(value)
                } else {
                    result.unknown.append(name)
                }
            } else {
                write(String(character))
            }
        }
        return result
    }

    private static func seconds(_ duration: LabDuration) -> String { fixedDecimal(duration.seconds, places: 6) }

    private static func rate(_ bytes: Int, _ report: CurlReport) -> String {
        report.total > .zero ? String(Int(Double(bytes) / report.total.seconds)) : "0"
    }

    private static func value(_ name: String, _ report: CurlReport) -> String? {
        switch name {
        case "http_code", "response_code": padded(report.status, 3)
        case "http_version": report.status == 0 ? "0" : "1.\(report.minorVersion)" == "1.0" ? "1.0" : "1.1"
        case "content_type": report.contentType
        case "errormsg": report.errorText
        case "exitcode": String(report.exitCode)
        case "filename_effective": report.fileName
        case "local_ip": report.local?.address.description ?? ""
        case "local_port": String(report.local?.port ?? 0)
        case "remote_ip": report.remote?.address.description ?? ""
        case "remote_port": String(report.remote?.port ?? 0)
        case "method": report.method
        case "num_connects": String(report.connects)
        case "num_headers": String(report.fields.count)
        case "num_redirects": String(report.redirects)
        case "redirect_url": report.redirectURL
        case "scheme": report.scheme
        case "size_download": String(report.bodyBytes)
        case "size_header": String(report.headBytes)
        case "size_request": String(report.requestBytes)
        case "size_upload": String(report.uploadedBytes)
        case "speed_download": rate(report.bodyBytes, report)
        case "speed_upload": rate(report.uploadedBytes, report)
        case "ssl_verify_result": String(report.verifyResult)
        case "time_appconnect": seconds(report.appConnect)
        case "time_connect": seconds(report.connect)
        case "time_namelookup": seconds(report.nameLookup)
        case "time_pretransfer": seconds(report.preTransfer)
        case "time_redirect": seconds(report.redirect)
        case "time_starttransfer": seconds(report.startTransfer)
        case "time_total": seconds(report.total)
        case "url": report.url
        case "url_effective": report.effectiveURL
        default: nil
        }
    }
}
