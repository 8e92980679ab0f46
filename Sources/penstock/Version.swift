/// What `--version` and `penstock_build_info` say.
let penstockVersion = "0.1.0"
