"Ctrl-C at any moment of a range test leaves model, optimiser and random state as they were."

import signal

import pytest
import torch
from torch import nn

from course_lib.lr_finder import lr_find


def state(model, opt):
    tensors = [*model.state_dict().values(), *(v for s in opt.state.values() for v in s.values() if torch.is_tensor(v)), torch.get_rng_state()]
    return [t.numpy().tobytes() for t in tensors], [m.training for m in model.modules()], opt.param_groups[0]["lr"]


@pytest.mark.parametrize("milliseconds", [3, 10, 20, 40, 60, 80])
def test_ctrl_c(milliseconds):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 10)).eval()
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    batches = [(torch.randn(64, 64), torch.randint(10, (64,))) for _ in range(4)]
    loss_func = nn.CrossEntropyLoss()
    loss_func(model(batches[0][0]), batches[0][1]).backward()
    opt.step()
    before = state(model, opt)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)  # what Ctrl-C calls; a background job ignores SIGINT itself
    signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
    try:
        with pytest.raises(KeyboardInterrupt): lr_find(model, loss_func, batches, opt, n_iter=20_000, end_lr=1e-3, progress=False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert state(model, opt) == before
