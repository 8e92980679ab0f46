"""Configuration files for tests. They are written as JSON, which YAML contains."""


def configured(models, *, listeners=None, providers=None, pools=None, **more):
    """What `start` wants: a function of the two ports.

    `models`: {model name: engine URLs}, each with a pool of its own; or, with `pools`, the items of `models`.
    `listeners`: what the data listener says beside its address, or a function of its port giving all of them.
    """
    def make(data, admin):
        if callable(listeners):
            listening = listeners(data)
        else:
            listening = [{"address": f"127.0.0.1:{data}", **(listeners or {})}]
        if pools is None:
            named = [{"name": name, "pool": f"pool{i}"} for i, name in enumerate(models)]
            made = [{"name": f"pool{i}", "endpoints": list(urls)} for i, urls in enumerate(models.values())]
        else:
            named, made = models, pools
        whole = {"listeners": listening, "admin": {"address": f"127.0.0.1:{admin}"}, "models": named, "pools": made,
                 **more}
        if providers:
            whole["providers"] = providers
        return whole
    return make


def one_provider(**settings):
    """The provider that pools without a name of one use."""
    return [{"name": "default", **settings}]
