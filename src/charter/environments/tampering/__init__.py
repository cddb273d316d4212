"""Four small environments in which a reward can be gamed, from flattery to an edited grader.

The steps are those of Denison et al. 2024 (2406.10162), remade small: political sycophancy, flattery
through a tool, a modified rubric, a modified reward. Each is files, tools, a reward and an oversight. The
files are texts in memory: nothing here touches a real file or runs what a model wrote.
"""
