import ShellSession

/// What is typed about a shop's people and their mail.
package enum ShopAccountsCommands {
    package static var all: [Command] { [shopUsers, shopNotifications, mailbox, mail] }
}
