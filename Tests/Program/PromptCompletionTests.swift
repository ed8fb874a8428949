import KernelStructures
import ShellLab
import ShellLanguage
import ShellPrompt
import ShellSession
import Testing

/// What Tab offers, without a terminal: text before the cursor in, candidates out.
@Suite struct PromptCompletionTests {
    private func complete(_ text: String, after script: String = "") throws -> Completer.Completion {
        let lab = try Lab(LabOptions())
        if !script.isEmpty {
            let submission = lab.session.submit(try Parser.parse(script), on: lab.session.currentTerminal, text: script)
            #expect(lab.session.wait(.stepping) { !submission.isRunning } == nil)
            lab.session.settle()
        }
        let host = { (directory: String) -> [(name: String, isDirectory: Bool)] in
            directory == "/etc/" ? [("hosts", false), ("ssl", true), (".hidden", false)] : []
        }
        return Completer(lab.session, hostList: host).complete(text)
    }

    private func candidates(_ text: String, after script: String = "") throws -> [String] {
        try complete(text, after: script).candidates.map(\.text)
    }

    private static let cluster = """
        backend --port 8081 --name Server-A &
        backend --port 80 --name Server-B &
        mkdir data; echo x > data/first; echo x > 'with blank'; echo x > .hidden
        """

    @Test(arguments: [
        "loadb", "echo x | loadb", "echo x; loadb", "true && loadb", "for i in 1 2; do loadb", "echo $(loadb",
        "$ loadb",
        "sleep 1 & loadb", "x=1 loadb", "if loadb", "echo a\nloadb", "false || loadb", "echo \"$(loadb",
    ]) func aCommandsNameIsCompletedWhereOneStands(_ text: String) throws {
        #expect(try candidates(text) == ["loadbalancer"])
        #expect(try complete(text).replacement == "loadbalancer ")
    }

    @Test(arguments: [
        "echo loadb", "# loadb", "!loadb", "cat < loadb", "echo 'loadb", "echo $(true) loadb", "echo $(true)loadb",
    ])
    func noCommandsNameIsOfferedElsewhere(_ text: String) throws {
        #expect(try candidates(text).isEmpty)
    }

    @Test func theDirectoryBeforeACommandsNameStays() throws {
        #expect(try candidates("./loadb") == ["./loadbalancer"])
    }

    @Test func flagsAreCompletedAndThoseGivenAreLeftOut() throws {
        #expect(try candidates("loadbalancer --conf") == ["--config"])
        #expect(try candidates("loadbalancer --").contains("--port"))
        #expect(try !candidates("loadbalancer --port 80 --").contains("--port"))
        #expect(try !candidates("loadbalancer --port=80 --").contains("--port"))
    }

    @Test func choicesOfAFlagAreCompletedInBothForms() throws {
        #expect(try candidates("loadbalancer --mode ") == ["http", "tcp"])
        #expect(try candidates("loadbalancer --mode=t") == ["--mode=tcp"])
    }

    @Test func jobsAndNodesAreOfferedToKill() throws {
        #expect(try candidates("kill ", after: Self.cluster) == ["%1", "%2", "Server-A", "Server-B"])
        #expect(try complete("kill server-b", after: Self.cluster).replacement == "Server-B ")
        #expect(try candidates("kill -ST") == ["-STOP"])
        #expect(try candidates("pause %", after: Self.cluster) == ["%1", "%2"])
    }

    @Test func whatSeveralCandidatesShareIsInserted() throws {
        let completion = try complete("kill S", after: Self.cluster)
        #expect(completion.replacement == "Server-")
        #expect(completion.replacedScalars == 1)
        #expect(try complete("kill Server-", after: Self.cluster).replacement == nil)
    }

    @Test func theLabsFilesAreCompletedWithDirectoriesAndQuoting() throws {
        #expect(try complete("cat da", after: Self.cluster).replacement == "data/")
        #expect(try complete("cat data/f", after: Self.cluster).replacement == "data/first ")
        #expect(try complete("cat wi", after: Self.cluster).replacement == "with\\ blank ")
        #expect(try complete("cat 'wi", after: Self.cluster).replacement == "'with blank' ")
        #expect(try candidates("cat ", after: Self.cluster) == ["data/", "with blank"])
        #expect(try candidates("cat .h", after: Self.cluster) == [".hidden"])
        #expect(try candidates("echo x > da", after: Self.cluster) == ["data/"])
        #expect(try candidates("echo x 2>> da", after: Self.cluster) == ["data/"])
        #expect(try candidates("loadbalancer --config wi", after: Self.cluster) == ["with blank"])
    }

    @Test func theHostsFilesAreOfferedWhereACommandNamesThem() throws {
        #expect(try candidates("put /etc/") == ["/etc/hosts", "/etc/ssl/"])
        #expect(try candidates("put /etc/hosts da", after: Self.cluster) == ["data/"])
        #expect(try candidates("get data/first /etc/h", after: Self.cluster) == ["/etc/hosts"])
    }

    @Test func addressesThatListenAreOfferedAsURLs() throws {
        #expect(try candidates("curl ", after: Self.cluster) == ["http://localhost/", "http://localhost:8081/"])
        #expect(try candidates("curl http://server-a", after: Self.cluster) == ["http://Server-A:8081/"])
        #expect(try candidates("curl localhost:", after: Self.cluster) == ["localhost:8081/"])
        #expect(try complete("curl http://localhost:", after: Self.cluster).replacement == "http://localhost:8081/")
    }

    @Test func wordsTagsTerminalsCommandsAndFaultsAreOffered() throws {
        #expect(try candidates("clock v") == ["virtual"])
        #expect(try candidates("log only LO") == ["LOCK"])
        #expect(try candidates("log on") == ["only"])
        #expect(try candidates("term ") == ["1"])
        #expect(try candidates("help loadb") == ["loadbalancer"])
        #expect(try candidates("inject lat") == ["latency"])
        #expect(try candidates("clock virtual ") == [])
    }

    @Test(
        "of a fault only what may come next is offered",
        arguments: [
            ("inject latency ", [String]()),
            ("inject latency 200ms ", ["on", "for", "Server-A->", "Server-B->", "client->", "outside->"]),
            ("inject latency 200ms on ", ["Server-A", "Server-B", "client", "outside"]),
            ("inject latency 200ms on Server-A ", ["for"]), ("inject latency 200ms on Server-A for ", []),
            ("inject latency 200ms for 3s ", ["on", "Server-A->", "Server-B->", "client->", "outside->"]),
            ("inject loss 5% Server-A->s", ["Server-A->Server-A", "Server-A->Server-B"]),
            ("inject loss 5% Server-A<->c", ["Server-A<->client"]), ("inject loss 5% Server-A->client ", ["for"]),
            ("inject partition {Server-A,s", ["{Server-A,Server-A", "{Server-A,Server-B"]),
            ("inject partition {Server-A}|s", ["{Server-A}|Server-A", "{Server-A}|Server-B"]),
            ("inject fail ", ["http"]), ("inject fail http 5", ["500", "502", "503", "504"]),
            (
                "inject fail http 503 ",
                ["first", "after", "with", "on", "for", "Server-A->", "Server-B->", "client->", "outside->"]
            ),
            ("inject fail http 503 first ", []), ("inject fail http 503 first 2 a", ["after"]),
            ("inject disk-full ", ["on", "for"]), ("inject nosuch ", []), ("inject disk-full on Server-A for 3s ", []),
        ])
    func faults(_ text: String, _ expected: [String]) throws {
        #expect(try candidates(text, after: Self.cluster) == expected)
    }

    @Test("what is offered of a fault, the grammar accepts as far as it goes")
    func faultsAreAccepted() throws {
        let completion = try complete("inject loss 5% Server-A->", after: Self.cluster)
        #expect(completion.candidates.map(\.text).contains("Server-A->client"))
        // An arrow is no redirection, and needs no backslash.
        #expect(try complete("inject loss 5% Server-A->cl", after: Self.cluster).replacement == "Server-A->client ")
    }

    @Test("directives are offered after an @, aliases and functions beside commands")
    func directivesAndOwnNames() throws {
        #expect(try candidates("@sk") == ["@skip-if"])
        let own = "alias shout='echo LOUD'; shove() { echo; }; alias k='kill -9'"
        #expect(try candidates("shou", after: own) == ["shout"] && candidates("shov", after: own) == ["shove"])
        #expect(try candidates("unalias ", after: own) == ["k", "shout"])
        #expect(try candidates("k Ser", after: own + "\n" + Self.cluster) == ["Server-A", "Server-B"])
    }

    @Test("the keys of all stores are offered where a key can stand, and nowhere else")
    func keys() throws {
        let stores = """
            lsm-kv --data-dir d --port 6379; cache-node --port 7001 --name cache
            kv-cli SET user:1 a; kv-cli SET user:2 b; kv-cli SET order:1 c; cache-cli --port 7001 SET user:9 x
            """
        #expect(try candidates("kv-cli GET user", after: stores) == ["user:1", "user:2", "user:9"])
        #expect(try candidates("kv-cli DEL user:1 o", after: stores) == ["order:1"])
        #expect(try candidates("kv-cli GET user:1 ", after: stores) == [])
        #expect(try candidates("kv-cli STATS ", after: stores) == [])
        #expect(try candidates("kv-cli s", after: stores) == ["SET", "SCAN", "STATS"])
        #expect(try complete("kv-cli GET user", after: stores).replacement == "user:")
    }

    @Test func aCommandInsideSpawnIsCompletedAsItself() throws {
        #expect(try candidates("spawn 3 back") == ["backend"])
        #expect(try candidates("spawn 3 backend --na") == ["--name"])
    }

    @Test func aViewInsideWatchIsCompletedAsItself() throws {
        #expect(try candidates("watch 1s po") == ["pool"])
        #expect(try candidates("watch 3 500ms back") == [])
        #expect(try candidates("watch 1s pool --glyphs b") == ["block", "braille"])
        #expect(try candidates("replay --algorithm ro") == ["round-robin"])
    }

    @Test func candidatesStandInColumnsAsWideAsTheTerminal() {
        #expect(columnList(["a", "bb", "ccc"], columns: 10) == "a    ccc\nbb\n")
        #expect(columnList(["a", "b"], columns: 1) == "a\nb\n")
        #expect(columnList(["日本", "b"], columns: 80) == "日本  b\n")
    }
}
