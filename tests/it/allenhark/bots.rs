//! Whose bots are heard by whom.

use super::{
    ACCOUNT, BOT, NO_SUCH_BOT, OTHER, SUBSCRIBE_BOT, SUBSCRIBED_BOT, ask, fence, let_in, own,
    start, told_of_trade, traded, until_owned, with_bot,
};

#[tokio::test]
async fn the_bot_of_another_account_is_as_unknown_as_one_that_is_not_there() {
    let server = start(&[]).await;
    let (_, mut owner) = with_bot(&server, ACCOUNT).await;
    let key = server.key(OTHER, &["read"]).await;
    let mut stranger = let_in(&server, &key).await;
    ask(&mut stranger, SUBSCRIBE_BOT, NO_SUCH_BOT).await;
    let nobodys = SUBSCRIBE_BOT.replace(BOT, "bot_nobody");
    ask(
        &mut stranger,
        &nobodys,
        &NO_SUCH_BOT.replace(BOT, "bot_nobody"),
    )
    .await;
    server.publish("BOT_bot_abc123", &traded(1)).await;
    assert_eq!(owner.text().await, told_of_trade(1));
    fence(&mut stranger).await;
}

#[tokio::test]
async fn all_clients_of_an_account_hear_its_bot_and_those_of_others_theirs() {
    let server = start(&[]).await;
    let (key, mut first) = with_bot(&server, ACCOUNT).await;
    let mut second = let_in(&server, &key).await;
    ask(&mut second, SUBSCRIBE_BOT, SUBSCRIBED_BOT).await;
    let others_key = server.key(OTHER, &["read"]).await;
    own(&server, &others_key, OTHER, "bot_other").await;
    let mut other = let_in(&server, &others_key).await;
    let theirs = |text: &str| text.replace(BOT, "bot_other");
    ask(&mut other, &theirs(SUBSCRIBE_BOT), &theirs(SUBSCRIBED_BOT)).await;
    for number in 0..10 {
        server.publish("BOT_bot_abc123", &traded(number)).await;
        server.publish("BOT_bot_other", &traded(number + 100)).await;
    }
    for number in 0..10 {
        for client in [&mut first, &mut second] {
            assert_eq!(client.text().await, told_of_trade(number));
        }
        assert_eq!(other.text().await, theirs(&told_of_trade(number + 100)));
    }
    for client in [&mut first, &mut second, &mut other] {
        fence(client).await;
    }
}

/// Within a second, though nothing happens to the bot.
#[tokio::test]
async fn whoever_loses_a_bot_is_told_so_and_hears_no_more_of_it() {
    let server = start(&[]).await;
    let (key, mut client) = with_bot(&server, ACCOUNT).await;
    server.run(&["bots", "remove", BOT]);
    assert_eq!(client.text().await, NO_SUCH_BOT);
    server.publish("BOT_bot_abc123", &traded(1)).await;
    ask(&mut client, SUBSCRIBE_BOT, NO_SUCH_BOT).await;
    server.until_metric("tidings_subscriptions", 0.0).await;

    own(&server, &key, ACCOUNT, BOT).await;
    ask(&mut client, SUBSCRIBE_BOT, SUBSCRIBED_BOT).await;
    server.publish("BOT_bot_abc123", &traded(2)).await;
    assert_eq!(client.text().await, told_of_trade(2));
}

#[tokio::test]
async fn a_bot_that_is_moved_is_heard_by_its_new_owner_alone() {
    let server = start(&[]).await;
    let (_, mut before) = with_bot(&server, ACCOUNT).await;
    let key = server.key(OTHER, &["read"]).await;
    own(&server, &key, OTHER, BOT).await;
    assert_eq!(before.text().await, NO_SUCH_BOT);
    let mut after = let_in(&server, &key).await;
    ask(&mut after, SUBSCRIBE_BOT, SUBSCRIBED_BOT).await;
    server.publish("BOT_bot_abc123", &traded(1)).await;
    assert_eq!(after.text().await, told_of_trade(1));
    fence(&mut before).await;
}

#[tokio::test]
async fn who_gains_a_bot_disturbs_nobody() {
    let server = start(&[]).await;
    let (key, mut client) = with_bot(&server, ACCOUNT).await;
    own(&server, &key, ACCOUNT, "bot_more").await;
    until_owned(&server, &key, BOT).await;
    server.publish("BOT_bot_abc123", &traded(1)).await;
    assert_eq!(client.text().await, told_of_trade(1));
    fence(&mut client).await;
}

mod in_a_shell {
    use insta::assert_snapshot;
    use serde_json::Value;

    use super::{ACCOUNT, BOT, OTHER};
    use crate::tidings::Tidings;

    #[tokio::test]
    async fn a_bot_is_added_listed_moved_and_removed() {
        let server = Tidings::start().await;
        let ended = |arguments: &[&str]| {
            let output = server.command(arguments, &[], "");
            let text = |bytes| String::from_utf8(bytes).unwrap();
            let out = text(output.stdout);
            (output.status.code().unwrap(), out, text(output.stderr))
        };
        let (code, out, said) = ended(&["bots", "add", "--account", ACCOUNT, BOT]);
        assert_eq!((code, &*out), (0, "bot_abc123\n"));
        assert_snapshot!(said, @"added bot bot_abc123 of account 0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51");
        let (code, out, said) = ended(&["bots", "add", "--account", ACCOUNT, BOT]);
        assert_eq!((code, &*out), (0, "bot_abc123\n"));
        assert_snapshot!(said, @"bot bot_abc123 is account 0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51's already");
        let (code, out, said) = ended(&["bots", "add", "--account", OTHER, BOT]);
        assert_eq!((code, &*out), (1, ""));
        assert_snapshot!(said, @"error: bot bot_abc123 is account 0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51's; --force takes it from there");
        let (code, _, said) = ended(&["bots", "add", "--force", "--account", OTHER, BOT]);
        assert_eq!(code, 0);
        assert_snapshot!(said, @"moved bot bot_abc123 from account 0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51 to 1d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51");

        let made_up = server.run(&["bots", "add", "--account", ACCOUNT]);
        assert!(made_up.starts_with("bot_"), "{made_up}");
        let listed = |account: &[&str]| {
            let list = [&["bots", "list", "--json"], account].concat();
            let bots: Value = serde_json::from_str(&server.run(&list)).unwrap();
            bots.as_array().unwrap().len()
        };
        assert_eq!(listed(&[]), 2);
        assert_eq!(listed(&["--account", ACCOUNT]), 1);
        let table = server.run(&["bots", "list", "--account", OTHER]);
        let lines: Vec<Vec<_>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0], ["ID", "ACCOUNT", "ADDED"]);
        assert_eq!(lines[1][..2], [BOT, OTHER]);

        let (code, out, said) = ended(&["bots", "remove", BOT]);
        assert_eq!((code, &*out, &*said), (0, "", "removed bot bot_abc123\n"));
        let (code, out, said) = ended(&["bots", "remove", BOT]);
        assert_eq!((code, &*out), (1, ""));
        assert_snapshot!(said, @"error: there is no bot bot_abc123; `tidings bots list` shows those that are");
        let (code, out, _) = ended(&["bots", "add", "--account", ACCOUNT, "abc"]);
        assert_eq!((code, &*out), (2, ""));
    }
}
