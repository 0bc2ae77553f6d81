//! Two who talk, whatever others do.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::room::Member;
use super::server::Server;

/// What a message between two members may take while others misbehave. Whoever waits for someone else's silence to end
/// waits twice as long.
const UNHINDERED: Duration = Duration::from_secs(5);

/// Two members of a room, who talk all the while.
pub struct Talk {
    stop: watch::Sender<bool>,
    task: JoinHandle<(u32, Duration)>,
}

impl Talk {
    pub async fn start(server: &Server) -> Self {
        let (mut anna, _) = Member::join(server, server.address(), "living room", "Anna").await;
        let (mut ben, joined) = Member::join(server, server.address(), "living room", "Ben").await;
        assert_eq!(anna.hear().await["type"], "peer-joined");
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let (mut count, mut worst) = (0u32, Duration::ZERO);
            while !*stopped.borrow() || count < 20 {
                let start = Instant::now();
                anna.say(json!({ "type": "signal", "to": joined["self"]["id"], "data": count })).await;
                let heard = ben.hear().await;
                assert_eq!((&heard["type"], &heard["data"]), (&json!("signal"), &json!(count)), "{heard}");
                count += 1;
                worst = worst.max(start.elapsed());
                // As fast as one may talk.
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            (count, worst)
        });
        Self { stop, task }
    }

    /// Ends it. Every message has come, in order and in time.
    pub async fn ends_unhindered(self) {
        self.stop.send_replace(true);
        let (count, worst) = self.task.await.unwrap();
        assert!(worst < UNHINDERED, "one of {count} messages took {worst:?}");
    }
}
