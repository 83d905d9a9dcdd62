#![allow(clippy::unwrap_used)]

use proptest::{option, prelude::*};
use rstest::rstest;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn hold(name: &str, cap: Duration) -> Action {
    Action::Hold {
        name: name.to_owned(),
        cap,
    }
}

#[rstest]
#[case("print=hello, world = 1", Action::Print("hello, world = 1".to_owned()))]
#[case("print=", Action::Print(String::new()))]
#[case("error=oh", Action::Error("oh".to_owned()))]
#[case("stamp=half-way", Action::Stamp("half-way".to_owned()))]
#[case("hold=hook", hold("hook", HOLD_CAP))]
#[case("hold=hook,1s", hold("hook", SECOND))]
#[case("sleep=1500ms", Action::Sleep(Duration::from_millis(1500)))]
#[case("meet=m,2s", Action::Meet { name: "m".to_owned(), cap: 2 * SECOND })]
#[case("write=/tmp/f:a:b", Action::Write { path: "/tmp/f".into(), text: "a:b".to_owned() })]
#[case("append=/tmp/f:", Action::Append { path: "/tmp/f".into(), text: String::new() })]
#[case("await-file=/tmp/f", Action::AwaitFile { path: "/tmp/f".into(), cap: FILE_CAP })]
#[case("await-file=/tmp/f,1s", Action::AwaitFile { path: "/tmp/f".into(), cap: SECOND })]
#[case("serve=80", Action::Serve(Serve::plain(80)))]
#[case("serve=80,status=404", Action::Serve(Serve { status: 404, ..Serve::plain(80) }))]
#[case("serve=80,body=a,tls", Action::Serve(Serve { body: "a,tls".to_owned(), ..Serve::plain(80) }))]
#[case(
    "serve=443,tls,delay=1s,location=/x,hold=h,after=2s",
    Action::Serve(Serve {
        tls: true,
        status: 302,
        delay: Some(SECOND),
        location: Some("/x".to_owned()),
        hold: Some("h".to_owned()),
        after: Some(2 * SECOND),
        ..Serve::plain(443)
    })
)]
#[case("tcp=9000", Action::Tcp { port: 9000 })]
#[case("get=http://a:1/b?c=d,e", Action::Get { url: "http://a:1/b?c=d,e".parse().unwrap(), cap: GET_CAP })]
#[case("get=http://a/,cap=1s", Action::Get { url: "http://a/".parse().unwrap(), cap: SECOND })]
#[case("allocate=64Mi", Action::Allocate { bytes: 64 << 20 })]
#[case("cpu=1s", Action::Cpu(SECOND))]
#[case("who", Action::Who)]
#[case("wait", Action::Wait)]
#[case("ignore=TERM", Action::Ignore(Signal::Term))]
#[case("ignore=SIGHUP", Action::Ignore(Signal::Hup))]
#[case("exit=143", Action::Exit(143))]
fn parses(#[case] word: &str, #[case] expected: Action) {
    assert_eq!(word.parse(), Ok(expected));
}

#[rstest]
#[case("dance", "unknown action `dance`")]
#[case("", "unknown action ``")]
#[case("=x", "unknown action `=x`")]
#[case("sleep", "`sleep` has no value: expected sleep=DURATION[*N]")]
#[case("wait=5s", "`wait=5s` takes no value")]
#[case(
    "hold=",
    "`hold=`: invalid name ``: use letters, digits, `-`, `_` and `.`; expected hold=NAME[,CAP]"
)]
#[case("hold=a/b", "`hold=a/b`: invalid name `a/b`")]
#[case("hold=a,5", "invalid duration `5`")]
#[case("write=/tmp/f", "missing `:` after the path")]
#[case("write=:x", "empty path")]
#[case("serve=0", "invalid port `0`")]
#[case("serve=80,TLS", "unknown option `TLS`")]
#[case("serve=80,status=100", "invalid status `100`: expected 200 to 599")]
#[case("serve=80,location=", "invalid header value ``")]
#[case("get=https://a", "invalid URL `https://a`")]
#[case("get=/a", "must start with http://HOST")]
#[case("allocate=1Ti", "invalid size `1Ti`")]
#[case("ignore=KILL", "unknown signal `KILL`: expected TERM, INT")]
#[case("exit=256", "invalid exit code `256`")]
fn rejects(#[case] word: &str, #[case] message: &str) {
    let error = word.parse::<Action>().unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn every_listed_verb_parses() {
    for (verb, form) in VERBS {
        assert!(form.starts_with(verb), "{form}");
        let value = match *verb {
            "who" | "wait" => String::new(),
            "sleep" | "cpu" => "=1s".to_owned(),
            "write" | "append" => "=/f:t".to_owned(),
            "get" => "=http://a".to_owned(),
            "ignore" => "=TERM".to_owned(),
            _ => "=1".to_owned(),
        };
        assert!(format!("{verb}{value}").parse::<Action>().is_ok(), "{verb}");
    }
}

#[rstest]
#[case("sleep=400ms*36", 36)]
#[case("sleep=400ms*1", 1)]
#[case("sleep=400ms*1000", 1000)]
#[case("sleep=400ms", 1)]
fn repeated_sleeps_equal_written_out_sleeps(#[case] word: &str, #[case] times: usize) {
    let repeated = parse_all(["stamp=a", word, "exit=0"]);
    let words = iter::once("stamp=a")
        .chain(iter::repeat_n("sleep=400ms", times))
        .chain(["exit=0"]);
    assert_eq!(repeated, parse_all(words));
    assert_eq!(repeated.unwrap().len(), times + 2);
}

#[rstest]
#[case(
    "sleep=1s*0",
    "`sleep=1s*0`: invalid repeat count `0`: expected 1 to 1000"
)]
#[case("sleep=1s*1001", "invalid repeat count `1001`")]
#[case("sleep=1s*", "invalid repeat count ``")]
#[case("sleep=1s*2*3", "invalid repeat count `2*3`")]
#[case("sleep=5*3", "`sleep=5*3`: ")]
#[case("cpu=1s*2", "`cpu=1s*2`: ")]
fn rejects_bad_repeats(#[case] word: &str, #[case] message: &str) {
    let error = parse_all([word]).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn the_error_names_the_first_invalid_word() {
    let error = parse_all(["print=a", "jump", "hop"]).unwrap_err();
    assert_eq!(error, ActionError::UnknownVerb("jump".to_owned()));
}

fn durations() -> impl Strategy<Value = Duration> {
    (0_u64..=86_400_000).prop_map(Duration::from_millis)
}

fn names() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._-]{1,12}"
}

fn paths() -> impl Strategy<Value = PathBuf> {
    "/[a-z0-9/._ -]{1,20}".prop_map(PathBuf::from)
}

fn servers() -> impl Strategy<Value = Action> {
    let times = (option::of(durations()), option::of(durations()));
    let texts = (
        option::of("/[a-z0-9/?=]{0,9}"),
        option::of(names()),
        "\\PC{0,20}",
    );
    (1_u16.., any::<bool>(), 200_u16..600, times, texts).prop_map(
        |(port, tls, status, (delay, after), (location, hold, body))| {
            Action::Serve(Serve {
                port,
                tls,
                status,
                delay,
                location,
                hold,
                after,
                body,
            })
        },
    )
}

fn actions() -> impl Strategy<Value = Action> {
    let text = "\\PC{0,30}";
    prop_oneof![
        text.prop_map(Action::Print),
        text.prop_map(Action::Error),
        names().prop_map(Action::Stamp),
        (names(), durations()).prop_map(|(name, cap)| Action::Hold { name, cap }),
        durations().prop_map(Action::Sleep),
        (names(), durations()).prop_map(|(name, cap)| Action::Meet { name, cap }),
        (paths(), text).prop_map(|(path, text)| Action::Write { path, text }),
        (paths(), text).prop_map(|(path, text)| Action::Append { path, text }),
        (paths(), durations()).prop_map(|(path, cap)| Action::AwaitFile { path, cap }),
        servers(),
        (1_u16..).prop_map(|port| Action::Tcp { port }),
        (
            "http://[a-z]{1,9}:[1-9][0-9]{0,3}/[a-z0-9/?=]{0,9}",
            durations()
        )
            .prop_map(|(url, cap)| Action::Get {
                url: url.parse().unwrap(),
                cap
            }),
        (0_usize..=64 << 30).prop_map(|bytes| Action::Allocate { bytes }),
        durations().prop_map(Action::Cpu),
        Just(Action::Who),
        Just(Action::Wait),
        proptest::sample::select(&Signal::ALL[..]).prop_map(Action::Ignore),
        any::<u8>().prop_map(Action::Exit),
    ]
}

proptest! {
    #[test]
    fn displayed_actions_parse_back(action in actions()) {
        let word = action.to_string();
        prop_assert_eq!(word.parse::<Action>(), Ok(action), "{}", word);
    }

    #[test]
    fn no_word_panics(word in "\\PC{0,40}") {
        let _ = word.parse::<Action>();
    }

    #[test]
    fn no_value_panics(verb in proptest::sample::select(VERBS), value in "\\PC{0,40}") {
        let _ = format!("{}={value}", verb.0).parse::<Action>();
    }
}
