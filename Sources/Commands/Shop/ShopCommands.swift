import ShellSession

/// What is typed to open a shop, and to look whether its books are in order.
package enum ShopCommands {
    package static var all: [Command] {
        [shopProducts, shopInventory, shopOrders, shopPayments, shopFront, shop, dockerCompose, ledger]
    }
}
