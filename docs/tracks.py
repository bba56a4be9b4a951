"""Draw the picture of NOTEBOOK.md, by the code that stands there."""

import matplotlib.pyplot as plt
from matplotlib.dates import DateFormatter

from locapi import minutes

frame = minutes(since="2017-01-01", until="2017-01-02").to_pandas()

figure, (ways, speeds) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for kind, color in {"bicycle": "C1", "walker": "C0"}.items():
    for _, track in frame[frame["user_id"].str.startswith(kind)].groupby("user_id"):
        ways.plot(track["long"], track["lat"], color)
        (line,) = speeds.plot(track["minute"], track["speed"], color)
    line.set_label(kind)
ways.set(title="Where they were", xlabel="longitude", ylabel="latitude", aspect=1.32)
speeds.set(title="How fast", xlabel="UTC, 1 January 2017", ylabel="metres a second")
speeds.xaxis.set_major_formatter(DateFormatter("%H:%M"))
speeds.legend()
figure.savefig("tracks.png", dpi=80)
