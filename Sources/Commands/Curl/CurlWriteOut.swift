import KernelJSON
import KernelStructures

/// What one transfer came to, for `-w`.
struct CurlReport {
    var url = ""
    /// Which of the command's URLs it is, from 0 on; all that a pattern stands for have one number.
    var urlNumber = 0
    var effectiveURL = ""
    var method = ""
    var status = 0
    var minorVersion = 1
    var contentType = ""
    var redirectURL = ""
    var referer: String?
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
                switch name {
                case "stderr": toError = true
                case "stdout": toError = false
                // What follows is for transfers that failed.
                case "onerror": if report.exitCode == 0 { return result }
                case "json": write(json(report))
                case "header_json": write(fieldsAsJSON(report))
                default:
                    if let value = value(name, report) { write(value.text) } else { result.unknown.append(name) }
                }
            } else {
                write(String(character))
            }
        }
        return result
    }

    // MARK: Variables

    private enum Value {
        /// nil: there is none.
        case text(String?)
        case number(Int)
        /// A status: three digits, but in JSON.
        case status(Int)
        case time(LabDuration)

        var text: String {
            switch self {
            case .text(let text): text ?? ""
            case .number(let number): String(number)
            case .status(let status): padded(status, 3)
            case .time(let time): fixedDecimal(time.seconds, places: 6)
            }
        }

        var json: String {
            switch self {
            case .text(let text): text.map(CurlWriteOut.quoted) ?? "null"
            case .number(let number), .status(let number): String(number)
            case .time(let time): fixedDecimal(time.seconds, places: 6)
            }
        }
    }

    private static func quoted(_ text: String) -> String {
        String(decoding: JSONValue.string(text).bytes(.compact), as: UTF8.self)
    }

    /// All variables, in the order that curl writes them in.
    private static func json(_ report: CurlReport) -> String {
        "{" + names.map { "\(quoted($0)):\(value($0, report)?.json ?? "null")" }.joined(separator: ",") + "}"
    }

    /// The fields of the last response: `{"name":["value"],⏎…}`. Those of one name stand together, where the first did.
    private static func fieldsAsJSON(_ report: CurlReport) -> String {
        var names: [String] = []
        var values: [String: [String]] = [:]
        for field in report.fields {
            if values[field.name] == nil { names.append(field.name) }
            values[field.name, default: []].append(quoted(field.value))
        }
        let lines = names.map { "\(quoted($0)):[\((values[$0] ?? []).joined(separator: ","))]" }
        return "{" + lines.joined(separator: ",\n") + "\n}"
    }

    private static func rate(_ bytes: Int, _ report: CurlReport) -> Int {
        report.total > .zero ? Int(Double(bytes) / report.total.seconds) : 0
    }

    private static func given(_ text: String) -> String? { text.isEmpty ? nil : text }

    private static let names = [
        "certs", "content_type", "errormsg", "exitcode", "filename_effective", "ftp_entry_path", "http_code",
        "http_connect", "http_version", "local_ip", "local_port", "method", "num_certs", "num_connects", "num_headers",
        "num_redirects", "proxy_ssl_verify_result", "redirect_url", "referer", "remote_ip", "remote_port",
        "response_code", "scheme", "size_download", "size_header", "size_request", "size_upload", "speed_download",
        "speed_upload", "ssl_verify_result", "time_appconnect", "time_connect", "time_namelookup", "time_pretransfer",
        "time_redirect", "time_starttransfer", "time_total", "url", "url_effective", "urlnum", "curl_version",
    ]

    private static func value(_ name: String, _ report: CurlReport) -> Value? {
        switch name {
        case "certs": .text("")
        case "content_type": .text(given(report.contentType))
        case "curl_version": .text("libcurl/7.88.1")
        case "errormsg": .text(given(report.errorText))
        case "exitcode": .number(report.exitCode)
        case "filename_effective": .text(given(report.fileName))
        case "ftp_entry_path": .text(nil)
        case "http_code", "response_code": .status(report.status)
        case "http_connect": .status(0)
        case "http_version": .text(report.status == 0 ? "0" : report.minorVersion == 0 ? "1.0" : "1.1")
        case "local_ip": .text(report.local?.address.description ?? "")
        case "local_port": .number(Int(report.local?.port ?? 0))
        case "remote_ip": .text(report.remote?.address.description ?? "")
        case "remote_port": .number(Int(report.remote?.port ?? 0))
        case "method": .text(report.method)
        case "num_certs", "proxy_ssl_verify_result": .number(0)
        case "num_connects": .number(report.connects)
        case "num_headers": .number(report.fields.count)
        case "num_redirects": .number(report.redirects)
        case "redirect_url": .text(given(report.redirectURL))
        case "referer": .text(report.referer)
        case "scheme": .text(report.scheme)
        case "size_download": .number(report.bodyBytes)
        case "size_header": .number(report.headBytes)
        case "size_request": .number(report.requestBytes)
        case "size_upload": .number(report.uploadedBytes)
        case "speed_download": .number(rate(report.bodyBytes, report))
        case "speed_upload": .number(rate(report.uploadedBytes, report))
        case "ssl_verify_result": .number(report.verifyResult)
        case "time_appconnect": .time(report.appConnect)
        case "time_connect": .time(report.connect)
        case "time_namelookup": .time(report.nameLookup)
        case "time_pretransfer": .time(report.preTransfer)
        case "time_redirect": .time(report.redirect)
        case "time_starttransfer": .time(report.startTransfer)
        case "time_total": .time(report.total)
        case "url": .text(report.url)
        case "url_effective": .text(report.effectiveURL)
        case "urlnum": .number(report.urlNumber)
        default: nil
        }
    }
}
