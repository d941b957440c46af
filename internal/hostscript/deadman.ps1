for($i=0;$i -lt 10;$i++){try{Start-Service WinRM;Locked{[void](Release $id)};break}catch{Start-Sleep 30}}
