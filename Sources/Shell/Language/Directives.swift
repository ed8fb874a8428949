/// The directives of transcripts, with what each is for: the reader of transcripts and completion go by it.
package enum Directives {
    package static let all: [(name: String, summary: String)] = [
        ("case", "a name; begins a fresh world"), ("seed", "where chance begins"),
        ("epoch", "what the calendar says at the start"), ("clock", "virtual, real or x60"),
        ("net", "memory or loopback"), ("timeout", "lab time that one step may take"),
        ("logs", "exact: every log line must be expected; subset"), ("order", "strict: across all streams; floating"),
        ("terminal", "in which terminal what follows is typed"), ("fixture", "prepares something"),
        ("skip-if", "net=memory and the like: not run then"), ("needs", "programs without which it is not run"),
        ("include", "another file's lines"), ("covers", "requirements that the case demonstrates"),
        ("quote", "lines that are shown and not run"), ("end", "the end of such lines"),
        ("blanks", "collapse: blanks count as one; exact"),
    ]
}
