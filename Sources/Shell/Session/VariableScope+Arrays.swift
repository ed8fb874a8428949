import ShellLanguage

/// Arrays as expansions and commands read them.
extension VariableScope {
    func isAssociative(_ name: String) -> Bool { arrays[target(name)]?.isAssociative ?? false }

    func index(_ index: Int, of name: String) throws(Arithmetic.Failure) -> Int {
        if index >= 0 { return index }
        let name = target(name)
        let end = arrays[name]?.end ?? (values[name] == nil ? 0 : 1)
        guard end + index >= 0 else {
            throw .init(text: "\(name)[\(index)]: there are not so many elements")
        }
        return end + index
    }

    /// All elements of an array; a variable that is none has one.
    func elements(of name: String) -> [String] {
        array(name)?.values ?? value(of: name).map { [$0] } ?? []
    }
    func keys(of name: String) -> [String] {
        array(name)?.keys ?? (value(of: name) == nil ? [] : ["0"])
    }
}
