//! The scripts of the npm package, byte by byte, so that the server caches only one of each: a test compares them.

/// A script, and the SHA-1 hash by which the server finds it once it has cached it.
#[derive(Clone, Copy)]
pub(super) struct Script {
    pub(super) text: &'static str,
    pub(super) hash: &'static str,
}

/// A script that goes on only if the record has the write ID `ARGV[1]`.
macro_rules! comparing {
    ($($rest:literal),+ $(,)?) => {
        concat!(
            "local text = redis.call('GET', KEYS[1])\n",
            "if not text then return -1 end\n",
            r#"local write_id = string.match(text, '^{"v":"([%w_-]+)"') or string.match(text, '^{"cookie":{"v":"([%w_-]+)"') or ''"#,
            "\n",
            "if #write_id ~= 16 then write_id = '' end\n",
            "if write_id ~= ARGV[1] then return 0 end\n",
            $($rest),+
        )
    };
}

/// A script that writes a record that has the expected write ID, and then goes on.
macro_rules! setting {
    ($($rest:literal),+ $(,)?) => {
        comparing!(
            "if ARGV[2] == '' then redis.call('DEL', KEYS[1])\n",
            "else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end\n",
            $($rest),+
        )
    };
}

/// A script that stores a text with the time, and then goes on.
macro_rules! stamping {
    ($($rest:literal),* $(,)?) => {
        concat!(
            "local text = redis.pcall('GET', KEYS[1])\n",
            "if type(text) == 'table' then return {} end\n",
            "local function head(of) return string.sub(of, 1, 6) .. string.sub(of, 23, 36) end\n",
            "if text and head(text) ~= head(ARGV[1]) then return {} end\n",
            "if redis.replicate_commands then redis.replicate_commands() end\n",
            "local now = redis.call('TIME')\n",
            "local time = now[1] * 1000 + math.floor(now[2] / 1000)\n",
            "redis.call('SET', KEYS[1], ARGV[1] .. string.format('%.0f', time) .. '}', 'PX', ARGV[2])\n",
            $($rest,)*
            "return {time, '=' .. (text or '')}",
        )
    };
}

/// Compares the write ID of a record and, if it is the expected one, replaces the record, or removes it (empty text).
pub(super) const COMPARE_AND_SET: Script =
    Script { text: setting!("return 1"), hash: "07b18dd50bb8e310ff4d6e38ce86640100e36aa3" };

/// As [`COMPARE_AND_SET`], and publishes the name of the key on the channel `ARGV[4]`. A missing permission for the channel
/// must not fail the write.
pub(super) const COMPARE_SET_AND_PUBLISH: Script = Script {
    text: setting!("redis.pcall('PUBLISH', ARGV[4], redis.sha1hex(KEYS[1]))\n", "return 1"),
    hash: "2f8dab3fcbd25cac033fafc6176351e892e23581",
};

/// Compares the write ID of a record and, if it is the expected one, restarts the record's TTL.
pub(super) const COMPARE_AND_TOUCH: Script = Script {
    text: comparing!("redis.call('PEXPIRE', KEYS[1], ARGV[2])\n", "return 1"),
    hash: "51c7f35d95e47de321c82e71af6ae8a6d26ad982",
};

/// Stores a text with the clock of the node that holds the key ([`Store::stamp`](crate::Store::stamp)), if there is no
/// record or one that begins alike.
pub(super) const STAMP: Script =
    Script { text: stamping!(), hash: "ee4732853cfb799f1114114640cecee7fe25d451" };

/// As [`STAMP`], and publishes the name of the key on the channel `ARGV[3]`.
pub(super) const STAMP_AND_PUBLISH: Script = Script {
    text: stamping!("redis.pcall('PUBLISH', ARGV[3], redis.sha1hex(KEYS[1]))\n"),
    hash: "7e3122559fe3998281567310164f56a0ddc0aba4",
};

#[cfg(test)]
mod tests {
    use super::{super::feed::sha1, *};

    #[test]
    fn each_script_has_its_hash() {
        for script in
            [COMPARE_AND_SET, COMPARE_SET_AND_PUBLISH, COMPARE_AND_TOUCH, STAMP, STAMP_AND_PUBLISH]
        {
            assert_eq!(sha1(script.text), script.hash);
        }
    }
}
