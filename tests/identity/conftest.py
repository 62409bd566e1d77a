from hypothesis import settings

# A busy machine is no slow test.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
