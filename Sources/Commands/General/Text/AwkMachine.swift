import KernelRegularExpressions
import KernelStructures

/// Runs a program for `awk`: its variables, the record, and what its expressions give.
///
/// It runs within one turn of the loop for each record. All that a program can make grow is bounded: texts, elements,
/// steps and calls.
final class AwkMachine {
    enum Slot {
        case value(AwkValue)
        case array(AwkArray)
    }

    /// How a statement ended.
    enum Flow { case normal, breaks, continues, next, nextFile, exits, returns }

    let program: AwkProgram
    var globals: [Slot]
    var locals: [Slot] = []
    var record = ""
    var fields: [String] = []
    var isSplit = false
    var isJoined = true
    var inRange: [Bool]
    var returned = AwkValue.none
    var exitStatus = 0
    var steps = 0
    var callDepth = 0
    var expressions: [String: RegularExpression] = [:]
    var random: SeededRandom
    var seed = 0.0
    var now = LabTime(nanoseconds: 0)
    let memory = AwkMemory()
    private var stepsToLook = lookSteps
    /// Its surroundings.
    var write: ([UInt8], AwkTarget.Kind?, String) throws -> Void = { _, _, _ in }
    var nextRecord: () throws -> String? = { nil }
    var nextLine: (String) throws -> String? = { _ in nil }
    var closeFile: (String) throws -> Int = { _ in -1 }
    var runCommand: (String) throws -> Int = { _ in -1 }
    var nextCommandLine: (String) throws -> String? = { _ in nil }
    var isInterrupted: () -> Bool = { false }

    static let textLimitBytes = 16 << 20
    static let tooLong = AwkFailure("a text of more than \(byteCountText(textLimitBytes))")
    static let elementLimit = 1_000_000
    /// Of all arrays together.
    static let arraysLimitBytes = 256 << 20
    /// Steps between two looks whether somebody has had enough.
    private static let lookSteps = 4096
    /// Bytes of a text that are made in a step's time.
    private static let stepBytes = 256
    static let stepLimit = 500_000_000
    static let callLimit = 200
    static let fieldLimit = 100_000

    init(_ program: AwkProgram, _ random: SeededRandom) {
        self.program = program
        self.random = random
        globals = Array(repeating: .value(.none), count: program.globals.count)
        inRange = Array(repeating: false, count: program.rangeCount)
        for (place, text) in [
            (AwkVariables.fieldSeparator, " "), (AwkVariables.outputFieldSeparator, " "),
            (AwkVariables.outputRecordSeparator, "\n"), (AwkVariables.recordSeparator, "\n"),
            (AwkVariables.subscriptSeparator, "\u{1C}"), (AwkVariables.conversionFormat, "%.6g"),
            (AwkVariables.outputFormat, "%.6g"), (AwkVariables.fileName, ""),
        ] { globals[place] = .value(.string(text)) }
        for place in [AwkVariables.recordNumber, AwkVariables.fileRecordNumber, AwkVariables.fieldCount] {
            globals[place] = .value(.number(0))
        }
        globals[AwkVariables.matchStart] = .value(.number(0))
        globals[AwkVariables.matchLength] = .value(.number(-1))
    }

    // MARK: Values

    func number(_ value: AwkValue) -> Double {
        switch value {
        case .none: 0
        case .number(let number), .numeric(_, let number): number
        case .string(let text): AwkNumber.value(of: text)
        }
    }

    func text(_ value: AwkValue) -> String {
        switch value {
        case .none: ""
        case .number(let number): AwkNumber.text(number, format(AwkVariables.conversionFormat))
        case .numeric(let text, _), .string(let text): text
        }
    }

    func format(_ place: Int) -> String {
        guard case .value(.string(let format)) = globals[place], AwkNumber.isFormat(format) else { return "%.6g" }
        return format
    }

    /// As `print` writes it.
    func output(_ value: AwkValue) -> String {
        guard case .number(let number) = value else { return text(value) }
        return AwkNumber.text(number, format(AwkVariables.outputFormat))
    }

    func holds(_ value: AwkValue) -> Bool {
        switch value {
        case .none: false
        case .number(let number), .numeric(_, let number): number != 0
        case .string(let text): !text.isEmpty
        }
    }

    static func fromOutside(_ text: String) -> AwkValue {
        // Most texts are seen to be none by their first byte.
        guard let first = text.utf8.first, first < 58, let number = AwkNumber.whole(text) else { return .string(text) }
        return .numeric(text, number)
    }

    func globalText(_ place: Int) -> String { if case .value(let value) = globals[place] { text(value) } else { "" } }
    func globalNumber(_ place: Int) -> Double {
        if case .value(let value) = globals[place] { number(value) } else { 0 }
    }
    func setGlobal(_ place: Int, _ value: AwkValue) { globals[place] = .value(value) }

    // MARK: The record

    func setRecord(_ text: String) {
        record = text
        isSplit = false
        isJoined = true
    }

    func split() throws {
        if isSplit { return }
        isSplit = true
        fields = try split(record, globalText(AwkVariables.fieldSeparator), isRecord: true)
        globals[AwkVariables.fieldCount] = .value(.number(Double(fields.count)))
    }

    func joined() -> String {
        if !isJoined {
            record = fields.joined(separator: globalText(AwkVariables.outputFieldSeparator))
            isJoined = true
        }
        return record
    }

    /// POSIX: blanks where it is one blank, otherwise a character, or an expression where it is longer.
    func split(_ text: String, _ separator: String, isRecord: Bool = false) throws -> [String] {
        if text.isEmpty { return [] }
        if separator == " " {
            let parts = text.utf8.split { $0 == 32 || $0 == 9 || $0 == 10 }
            return parts.map { String(Substring($0)) }
        }
        // Paragraphs: a newline separates fields in any case.
        let isParagraph = isRecord && globalText(AwkVariables.recordSeparator).isEmpty
        if separator.isEmpty { return text.unicodeScalars.map { String($0) } }
        if separator.utf8.count == 1, separator != "\\", !isParagraph {
            let byte = separator.utf8.first!
            return text.utf8.split(separator: byte, omittingEmptySubsequences: false).map { String(Substring($0)) }
        }
        let source = separator.count == 1 ? "[\(separator)]" : separator == "\\" ? "\\\\" : separator
        return try cut(text, at: isParagraph ? "(\(source))|\n" : source)
    }

    func cut(_ text: String, at pattern: String) throws -> [String] {
        let expression = try expression(pattern)
        let bytes = Array(text.utf8)
        var result: [String] = []
        var place = 0
        for match in bytes.withUnsafeBytes({ expression.allMatches(in: $0) }) where !match.range.isEmpty {
            result.append(String(decoding: bytes[place..<match.range.lowerBound], as: UTF8.self))
            place = match.range.upperBound
        }
        result.append(String(decoding: bytes[place...], as: UTF8.self))
        return result
    }

    func field(_ number: Double) throws -> AwkValue {
        let index = Int(clamping: number)
        guard index >= 0 else { throw AwkFailure("$\(index): fields count from 0") }
        if index == 0 { return Self.fromOutside(joined()) }
        try split()
        return index <= fields.count ? Self.fromOutside(fields[index - 1]) : .none
    }

    func setField(_ number: Double, _ value: AwkValue) throws {
        let index = Int(clamping: number)
        guard index >= 0, index <= Self.fieldLimit else {
            throw AwkFailure("$\(index): there are fields 0 to \(Self.fieldLimit)")
        }
        if index == 0 { return setRecord(text(value)) }
        try split()
        while fields.count < index { fields.append("") }
        fields[index - 1] = text(value)
        globals[AwkVariables.fieldCount] = .value(.number(Double(fields.count)))
        isJoined = false
    }

    func setFieldCount(_ count: Double) throws {
        let count = Int(clamping: count)
        guard count >= 0, count <= Self.fieldLimit else { throw AwkFailure("NF: \(count) is not a number of fields") }
        while fields.count < count { fields.append("") }
        fields.removeLast(fields.count - count)
        isJoined = false
    }

    // MARK: Variables

    func slot(_ reference: AwkReference) -> Slot {
        switch reference {
        case .global(let place): globals[place]
        case .local(let place): locals[locals.count - localCount + place]
        }
    }
    var localCount = 0

    func setSlot(_ reference: AwkReference, _ slot: Slot) {
        switch reference {
        case .global(let place): globals[place] = slot
        case .local(let place): locals[locals.count - localCount + place] = slot
        }
    }

    func value(_ reference: AwkReference) throws -> AwkValue {
        if case .global(AwkVariables.fieldCount) = reference { try split() }
        guard case .value(let value) = slot(reference) else { throw AwkFailure("an array where a value is meant") }
        return value
    }

    func array(_ reference: AwkReference) throws -> AwkArray {
        switch slot(reference) {
        case .array(let array): return array
        case .value(.none):
            let array = AwkArray(memory)
            setSlot(reference, .array(array))
            return array
        case .value: throw AwkFailure("a value where an array is meant")
        }
    }

    func key(_ expressions: [AwkExpression]) throws -> String {
        if expressions.count == 1 { return text(try evaluate(expressions[0])) }
        var parts: [String] = []
        for expression in expressions { parts.append(text(try evaluate(expression))) }
        return parts.joined(separator: globalText(AwkVariables.subscriptSeparator))
    }

    func set(_ array: AwkArray, _ key: String, _ value: AwkValue) throws {
        guard memory.elementCount < Self.elementLimit || array[key] != nil, key.utf8.count <= 1 << 20 else {
            throw AwkFailure("more than \(Self.elementLimit) elements")
        }
        array.set(key, value)
        guard memory.byteCount <= Self.arraysLimitBytes else {
            throw AwkFailure("arrays of more than \(byteCountText(Self.arraysLimitBytes))")
        }
    }

    func assign(_ target: AwkExpression, _ value: AwkValue) throws {
        switch target {
        case .variable(let reference):
            if case .array = slot(reference) { throw AwkFailure("a value where an array is meant") }
            switch reference {
            case .global(AwkVariables.fieldCount):
                try split()
                try setFieldCount(number(value))
            // The record that is there was read with the separators before.
            case .global(AwkVariables.fieldSeparator), .global(AwkVariables.recordSeparator): try split()
            default: break
            }
            setSlot(reference, .value(value))
        case .field(let index): try setField(number(try evaluate(index)), value)
        case .element(let reference, let subscripts):
            let key = try key(subscripts)
            try set(try array(reference), key, value)
        case .group(let inner): try assign(inner, value)
        default: throw AwkFailure("nothing that can be given a value")
        }
    }

    func expression(_ pattern: String) throws -> RegularExpression {
        if let known = expressions[pattern] { return known }
        if expressions.count >= 200 { expressions = [:] }
        let made = try Self.made(pattern)
        expressions[pattern] = made
        return made
    }

    static func made(_ pattern: String) throws -> RegularExpression {
        var source = pattern
        for (escape, character) in ["\\n": "\n", "\\t": "\t", "\\r": "\r", "\\\"": "\"", "\\/": "/", "\\f": "\u{C}"] {
            source = source.replacing(escape, with: character)
        }
        do { return try RegularExpression(source, .extended) } catch { throw AwkFailure("\(error)") }
    }

    /// Puts a text behind a variable's, which is not copied for it.
    func append(_ suffix: String, to reference: AwkReference) throws -> AwkValue {
        var whole: String
        switch slot(reference) {
        case .value(let old): whole = text(old)
        case .array: throw AwkFailure("an array where a value is meant")
        }
        // From here on nobody else holds it.
        setSlot(reference, .value(.none))
        whole += suffix
        guard whole.utf8.count <= Self.textLimitBytes else { throw Self.tooLong }
        let value = AwkValue.string(whole)
        setSlot(reference, .value(value))
        return value
    }

    func pattern(_ expression: AwkExpression) throws -> RegularExpression {
        if case .pattern(let text) = expression { return try self.expression(text) }
        return try self.expression(text(try evaluate(expression)))
    }

    /// A step, which may have made a text.
    func count(_ byteCount: Int = 0) throws {
        guard byteCount <= Self.textLimitBytes else { throw Self.tooLong }
        let work = 1 + byteCount / Self.stepBytes
        steps += work
        stepsToLook -= work
        guard stepsToLook <= 0 else { return }
        stepsToLook = Self.lookSteps
        if isInterrupted() { throw AwkFailure("interrupted") }
        if steps > Self.stepLimit { throw AwkFailure("more than \(Self.stepLimit) steps; a loop without an end?") }
    }
}

/// `exit` within a function.
struct AwkExit: Error {}
/// Its process is over while it waits for a command.
struct AwkStopped: Error {}
/// `getline < FILE` of a file that is not there.
struct AwkNoFile: Error {}
