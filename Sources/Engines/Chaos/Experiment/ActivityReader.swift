import KernelJSON
import KernelStructures

/// Reads activities, and knows the earlier ones by name for those that refer to them (`ref`).
struct ActivityReader {
    private var known: [String: Activity] = [:]

    mutating func hypothesis(_ cursor: JSONCursor) throws(ExperimentError) -> ChaosExperiment.Hypothesis {
        guard let title = cursor["title"].ifPresent else {
            throw ExperimentError(cursor.path, "a hypothesis requires a title")
        }
        let text = try reading { () throws(JSONTypeError) in try title.string() }
        var probes: [Activity] = []
        for entry in try cursor["probes"].elements() { probes.append(try activity(entry, needsTolerance: true)) }
        return ChaosExperiment.Hypothesis(title: text, probes: probes)
    }

    mutating func activities(_ cursor: JSONCursor) throws(ExperimentError) -> [Activity] {
        var found: [Activity] = []
        for entry in try cursor.elements() { found.append(try activity(entry, needsTolerance: false)) }
        return found
    }

    mutating func activity(_ cursor: JSONCursor, needsTolerance: Bool) throws(ExperimentError) -> Activity {
        if let reference = cursor["ref"].ifPresent {
            let name = try reading { () throws(JSONTypeError) in try reference.string() }
            guard let activity = known[name] else {
                throw ExperimentError(
                    reference.path,
                    "no activity before it is called '\(name)'\(didYouMean(name, among: known.keys.sorted()))"
                )
            }
            return activity
        }
        guard case .object? = cursor.value else { throw ExperimentError(cursor.path, "an activity must be an object") }
        guard cursor["type"].ifPresent != nil else {
            throw ExperimentError(cursor.path, "an activity requires a type: probe or action")
        }
        let kind = try Self.kind(cursor["type"])
        guard let nameCursor = cursor["name"].ifPresent else {
            throw ExperimentError(cursor.path, "an activity requires a name")
        }
        let name = try reading { () throws(JSONTypeError) in try nameCursor.string() }
        guard let providerCursor = cursor["provider"].ifPresent else {
            throw ExperimentError(cursor.path, "an activity requires a provider")
        }
        var activity = Activity(
            kind: kind, name: name, provider: try ProviderReader(providerCursor).provider(),
            document: cursor.value ?? .null)
        try readTolerances(cursor, &activity, needsTolerance: needsTolerance)
        try readTimes(cursor, &activity)
        activity.controls = try controls(cursor["controls"])
        known[name] = activity
        return activity
    }

    private static func kind(_ cursor: JSONCursor) throws(ExperimentError) -> Activity.Kind {
        let text = try reading { () throws(JSONTypeError) in try cursor.string() }
        guard let kind = Activity.Kind(rawValue: text) else {
            throw ExperimentError(cursor.path, "'\(text)' is neither probe nor action")
        }
        return kind
    }

    private mutating func readTolerances(_ cursor: JSONCursor, _ activity: inout Activity, needsTolerance: Bool)
        throws(ExperimentError)
    {
        if cursor["tolerance"].value != nil {
            activity.tolerance = try Tolerance(cursor["tolerance"], &self)
        } else if needsTolerance {
            throw ExperimentError(cursor.path, "a probe of a hypothesis requires a tolerance")
        }
        if cursor["degraded"].ifPresent != nil { activity.degraded = try Tolerance(cursor["degraded"], &self) }
    }

    private func readTimes(_ cursor: JSONCursor, _ activity: inout Activity) throws(ExperimentError) {
        try reading { () throws(JSONTypeError) in
            if let pauses = cursor["pauses"].ifPresent {
                try pauses.expectNoMembers(besides: ["before", "after"])
                activity.pauseBefore = try pauses["before"].time() ?? .zero
                activity.pauseAfter = try pauses["after"].time() ?? .zero
            }
            activity.isBackground = try cursor["background"].ifPresent?.bool() ?? false
        }
    }

    /// Controls of Python are extensions of the Toolkit's program; they are left out.
    mutating func controls(_ cursor: JSONCursor) throws(ExperimentError) -> [ChaosExperiment.Control] {
        var found: [ChaosExperiment.Control] = []
        for entry in try cursor.elements() {
            let provider = try ProviderReader(entry["provider"]).provider()
            if case .python = provider { continue }
            let name = try reading { () throws(JSONTypeError) in try entry["name"].string() }
            let activity = Activity(kind: .action, name: name, provider: provider, document: entry.value ?? .null)
            var moments = ChaosExperiment.Control.Moment.allCases
            if entry["scope"].ifPresent != nil {
                moments = [try entry["scope"].choice(ChaosExperiment.Control.Moment.self)]
            }
            found.append(ChaosExperiment.Control(activity: activity, moments: moments))
        }
        return found
    }
}

/// Reads what carries an activity out.
struct ProviderReader {
    private let cursor: JSONCursor

    init(_ cursor: JSONCursor) { self.cursor = cursor }

    func provider() throws(ExperimentError) -> Provider {
        guard cursor["type"].ifPresent != nil else { throw ExperimentError(cursor.path, "a provider requires a type") }
        let type = try reading { () throws(JSONTypeError) in try cursor["type"].string() }
        switch type {
        case "http": return .http(try http())
        case "process": return .process(try process())
        case "lab": return .lab(try LabAction(cursor))
        case "python":
            return try reading { () throws(JSONTypeError) in
                .python(
                    module: try cursor["module"].string(), function: try cursor["func"].ifPresent?.string() ?? "")
            }
        default:
            throw ExperimentError(
                cursor["type"].path, "'\(type)' is no provider; there are http, process, lab and python")
        }
    }

    private func http() throws(ExperimentError) -> HTTPRequestPlan {
        try reading { () throws(JSONTypeError) in
            var plan = HTTPRequestPlan(url: try cursor["url"].string())
            if plan.url.isEmpty { throw cursor["url"].error("is empty") }
            plan.method = try cursor["method"].ifPresent?.string().uppercased() ?? "GET"
            guard plan.method.utf8.allSatisfy({ $0 >= 65 && $0 <= 90 }), !plan.method.isEmpty else {
                throw cursor["method"].error("'\(plan.method)' is no method of HTTP")
            }
            for (name, value) in try cursor["headers"].ifPresent?.members() ?? [] {
                plan.headers.append((name, try value.text()))
            }
            plan.timeout = try timeout() ?? plan.timeout
            plan.keyPrefix = try cursor["idempotency_key"].ifPresent?.string()
            guard plan.keyPrefix?.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) ?? true else {
                throw cursor["idempotency_key"].error("is no word of plain characters")
            }
            plan.verifiesTLS = try cursor["verify_tls"].ifPresent?.bool() ?? true
            if let body = cursor["body"].ifPresent { plan.body = Array(try body.text().utf8) }
            try addArguments(&plan)
            return plan
        }
    }

    /// As the Toolkit does with them: a query for GET, JSON if a header says so, otherwise a form.
    private func addArguments(_ plan: inout HTTPRequestPlan) throws(JSONTypeError) {
        guard let arguments = cursor["arguments"].ifPresent else { return }
        let isJSON = plan.headers.contains {
            $0.name.lowercased() == "content-type" && $0.value.lowercased().contains("json")
        }
        if isJSON, plan.method != "GET" {
            plan.body = arguments.value?.bytes()
            return
        }
        let pairs = try arguments.members().map { (member) throws(JSONTypeError) in
            FormText.encoded(member.name) + "=" + FormText.encoded(try member.value.text())
        }.joined(separator: "&")
        if plan.method == "GET" {
            plan.url += (plan.url.contains("?") ? "&" : "?") + pairs
        } else {
            plan.headers.append(("Content-Type", "application/x-www-form-urlencoded"))
            plan.body = Array(pairs.utf8)
        }
    }

    /// Seconds, or a pair of them: to connect, and to answer.
    private func timeout() throws(JSONTypeError) -> LabDuration? {
        guard let timeout = cursor["timeout"].ifPresent else { return nil }
        guard case .array(let parts)? = timeout.value else { return try timeout.lasting() }
        var sum = LabDuration.zero
        for index in parts.indices { sum += try timeout[index].lasting() ?? .zero }
        return sum > .zero ? sum : nil
    }

    private func process() throws(ExperimentError) -> ProcessPlan {
        try reading { () throws(JSONTypeError) in
            let path = try cursor["path"].string()
            if path.isEmpty { throw cursor["path"].error("is empty") }
            var arguments: [String] = []
            switch cursor["arguments"].value {
            case nil, .null?: break
            case .string(let text)?: arguments = try words(text)
            case .array?:
                for word in try cursor["arguments"].array() { arguments.append(try word.text()) }
            default:
                for (name, value) in try cursor["arguments"].members() { arguments += [name, try value.text()] }
            }
            return ProcessPlan(path: path, arguments: arguments, timeout: try timeout() ?? .seconds(60))
        }
    }

    /// Words apart at blanks, but for those in quotes.
    private func words(_ text: String) throws(JSONTypeError) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        for character in text {
            if let open = quote {
                if character == open { quote = nil } else { word?.append(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character == " " || character == "\t" || character.isNewline {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if quote != nil { throw cursor["arguments"].error("a quotation mark is not closed") }
        return words + [word].compactMap { $0 }
    }
}

extension JSONCursor {
    /// Text, or the text of a number or a truth value.
    func text() throws(JSONTypeError) -> String {
        switch value {
        case .string(let text)?: return text
        case .object?, .array?: return value?.text ?? ""
        case .some(let value) where value != .null: return value.text
        default: return try string()
        }
    }
}

/// `application/x-www-form-urlencoded`, as browsers write it.
enum FormText {
    static func encoded(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, 42, 45, 46, 95: out.append(Character(UnicodeScalar(byte)))
            case 32: out.append("+")
            default: out += "%" + hexadecimal(UInt64(byte), 2).uppercased()
            }
        }
        return out
    }
}
