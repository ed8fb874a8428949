import KernelStructures

/// What leads the streams of a command elsewhere: `>`, `<`, `2>&1`, `3<`, `{fd}>`, here-documents.
extension Parser {
    /// Digits of a descriptor's number; more of them are a word.
    private static let numberDigits = 9

    mutating func redirection() throws(SyntaxError) -> Redirection? {
        let place = position
        if follows("&>") {
            let appends = follows("&>>")
            advance(appends ? 3 : 2)
            return Redirection(
                kind: .writeBoth(appends: appends), number: 1, target: try target(place, "&>"), position: place)
        }
        guard let (length, given, variable) = descriptorHere() else { return nil }
        advance(length)
        let number = given ?? (current == "<" ? 0 : 1)
        if follows("<<<") {
            advance(3)
            return Redirection(
                kind: .hereString, number: number, variable: variable, target: try target(place, "<<<"),
                position: place)
        }
        if follows("<<") { return try hereDocument(number, variable, place) }
        if follows("<&") || follows(">&") {
            let sign = follows("<&") ? "<&" : ">&"
            advance(2)
            var other = try duplicated()
            if other == nil { other = try target(place, sign) }
            guard let other else { throw unexpected() }
            return Redirection(
                kind: .duplicate(orFile: sign == ">&" && given == nil && variable == nil), number: number,
                variable: variable, target: other, position: place)
        }
        for (sign, kind) in Self.fileSigns where follows(sign) {
            advance(sign.count)
            return Redirection(
                kind: kind, number: number, variable: variable, target: try target(place, sign), position: place)
        }
        return nil
    }

    /// Longer ones first.
    private static let fileSigns: [(String, Redirection.Kind)] = [
        ("<>", .readWrite), ("<", .read), (">>", .write(appends: true, isForced: false)),
        (">|", .write(appends: false, isForced: true)), (">", .write(appends: false, isForced: false)),
    ]

    /// What stands before the `<` or `>` of a redirection that begins here: nothing, a number, or `{name}`. nil where
    /// none begins here.
    private func descriptorHere() -> (length: Int, number: Int?, variable: String?)? {
        var end = index
        while end < text.count, end - index <= Self.numberDigits, text[end].isASCII, text[end].isNumber { end += 1 }
        var number: Int?
        var variable: String?
        if end > index {
            number = Int(String(text[index..<end]))
            if number == nil { return nil }
        } else if current == "{" {
            end += 1
            while end < text.count,
                text[end] == "_" || text[end].isASCII && (text[end].isLetter || end > index + 1 && text[end].isNumber)
            {
                end += 1
            }
            guard end > index + 1, end < text.count, text[end] == "}" else { return nil }
            variable = String(text[(index + 1)..<end])
            end += 1
        }
        guard end < text.count, text[end] == "<" || text[end] == ">" else { return nil }
        func stands(_ sign: String) -> Bool {
            zip(sign, text[end...]).allSatisfy { $0 == $1 } && end + sign.count <= text.count
        }
        // A link between nodes, and what stands for a file.
        if stands("<->") || stands("<(") || stands(">(") { return nil }
        return (end - index, number, variable)
    }

    /// What `>&` leads to, where it is a number or a dash that ends there: `2>&1&` is followed by an `&`. nil, with
    /// nothing taken, where it is something else.
    private mutating func duplicated() throws(SyntaxError) -> Word? {
        let before = (index, line, column)
        try skipBlank()
        let start = position
        var word = ""
        while let character = current, character.isASCII, character.isNumber, word.count < Self.numberDigits {
            word.append(character)
            advance()
        }
        if current == "-" {
            word.append("-")
            advance()
        }
        let ends = current.map { $0.isWhitespace || ";|&<>()".contains($0) } ?? true
        guard ends, !word.isEmpty else {
            (index, line, column) = before
            return nil
        }
        return Word(parts: [.text(word, isQuoted: false)], position: start)
    }

    mutating func target(_ place: Position, _ operator: String) throws(SyntaxError) -> Word {
        try skipBlank()
        guard let character = current, !character.isLineEnd,
            !";|&<>".contains(character) || follows("<(") || follows(">(")
        else {
            throw SyntaxError(place, "'\(`operator`)' needs the name of a file", isIncomplete: current == nil)
        }
        return try word()
    }

    // MARK: Here-documents

    /// The `<<` and its word; the text comes later.
    private mutating func hereDocument(
        _ number: Int, _ variable: String?, _ place: Position
    ) throws(SyntaxError) -> Redirection {
        advance(2)
        let stripsTabs = current == "-"
        if stripsTabs { advance() }
        let delimiterWord = try target(place, "<<")
        guard let delimiter = delimiterWord.literal, !delimiter.isEmpty else {
            throw SyntaxError(place, "the end of a here-document must be a plain word")
        }
        let isLiteral = delimiterWord.keyword == nil
        nextDocument += 1
        pendingDocuments.append(
            PendingDocument(
                number: nextDocument, delimiter: delimiter, isLiteral: isLiteral, stripsTabs: stripsTabs,
                position: place))
        return Redirection(
            kind: .hereDocument, number: number, variable: variable,
            target: Word(parts: [.text("\(nextDocument)", isQuoted: true)], position: place), position: place)
    }

    mutating func readDocument(_ document: PendingDocument) throws(SyntaxError) {
        let start = position
        var body = ""
        while true {
            if current == nil { throw unfinished(document) }
            var line = ""
            while let character = current, !character.isLineEnd {
                line.append(character)
                advance()
            }
            if current != nil { advance() }
            if document.stripsTabs { line = String(line.drop { $0 == "\t" }) }
            if line == document.delimiter { break }
            body += line + "\n"
        }
        if document.isLiteral {
            finishedDocuments[document.number] = Word(parts: [.text(body, isQuoted: true)], position: start)
        } else {
            var parser = Parser(Array(body), start, depth: depth)
            parser.isDocument = true
            do throws(SyntaxError) {
                finishedDocuments[document.number] = try parser.quotedText(until: nil)
            } catch {
                // The text is all there: further lines would not complete what is open in it.
                throw SyntaxError(error.position, error.text)
            }
        }
    }

    func unfinished(_ document: PendingDocument) -> SyntaxError {
        SyntaxError(
            document.position, "the here-document never comes to its end, a line '\(document.delimiter)'",
            isIncomplete: true)
    }
}
