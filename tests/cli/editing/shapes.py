"""Flag files as nobody should write them, and somebody does."""

YAML = [
    "---\nflags:\n  a:\n    percent: 5\n...\n",
    "{flags: {a: {percent: 5}, b: {}}}\n",
    "flags:\n  a: {percent: 5,\n      owner: x}\n  b:\n    rules: [{percent: 1},   # one\n            {percent: 2}]\n",
    "flags:\n  a:\n    description: >-\n      folded\n      text\n\n    percent: 5   \n\n\n",
    "flags:\n  'a':\n    \"percent\": 5\n    description: a plain\n      continued text\n    owner: x\n",
    "flags:\n  a:\n    rules:\n      -\n        percent: 5\n        when: x\n      -   percent: 6\n          when: y\n",
    "flags:\r\n  a:\r\n    percent: 5\r\n    rules:\r\n    - percent: 1\r\n    - percent: 2\r\n",
    "flags: {}\n",
    "flags:\n  a: {}\n  b: {}",
    "# c\nflags:\n  a:   # x\n    # inner\n    percent: 5\n  # trailing\n# end\n",
    'flags:\n    a:\n        variants: {x: \'it\'\'s\', "y": "q\\""}\n        default: x\n        split: {x: 1, y: 1}\n',
    "flags:\n  a:\n    tags:\n      - x\n      - y # why\n    percent: 5\n",
    "retired:\n- a # why\n\n# flags\nflags:\n  b:\n    percent: 1\n",
    'flags:\n  "a": {\n    "percent": 5,\n    "rules": [\n      {"percent": 1}\n    ]\n  }\n',
]

TOML = [
    "flags = { a = { percent = 5, rules = [{ percent = 1 }, { percent = 2 }] }, b = {} }",
    "flags.a.percent = 5\nflags.b = { percent = 6 }\n",
    "[flags]\na = { percent = 5 } # here\nb.percent = 6\n\n# the end\n",
    "[flags]\n  [flags.a]\n  percent = 5\n    [flags.a.rollout]\n    profile = 'high'\n  [[flags.a.rules]]\n  percent = 1\n  [flags.a.rules.split]\n  on = 1\n  [[flags.a.rules]]\n  percent = 2\n",
    "[flags.a]\ndescription = '''\n# no comment\n[flags.not]\n'''\npercent = 5\n[flags.b]\ndescription = \"\"\"\\\n  [x]\n  # y\"\"\"\n",
    "[ flags . 'a b' ] # spaces\npercent=5\n[flags.\"c.d\"]\nrules = [\n  # first\n  { percent = 1 }, # one\n  { percent = 2 } # two\n]\n",
    "[[flags.a.rules]]\npercent = 1\n[flags.b]\n[[flags.a.rules]]\npercent = 2\n[flags.a.metadata]\nx = 1\n",
    "retired = [\n  'x', # long ago\n]\n[flags.a]\r\npercent = 5\n",
    "[segments.s]\nwhen = 'x'\n[flags]\n[environments.staging]\nflags.a.percent = 3\n",
    "# only\n# comments\n[flags.a]\n# nothing here\n\n\n# and here\n",
    "[flags.a]\npercent = 5 # [not] = 'a' header\nvariants.on = true\nvariants.off = false\nrules = [{ percent = 1 }, { percent = 2 },]\n",
]
